"""Offers steps for Loom that look at the records of a batch together."""
