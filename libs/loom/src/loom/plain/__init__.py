"""Offers Loom to code that is not asynchronous."""
