"""Runs emulators of systems that are only to be had as a service. They end with who started them."""
