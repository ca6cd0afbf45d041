"""Runs the tests of files: each kind in a module, all through `loom.testing.trial`."""
