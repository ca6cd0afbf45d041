"""Runs emulators of systems that are only to be had as a service, or in no package. They end with who started them."""
