"""Carries out what requests ask for, on a cluster or in this process.

`source.py` comes in here, and routes name `Commands`."""
