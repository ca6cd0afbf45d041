"""Computes statistics in plain Python: one file for each family of methods, each with its source. Does no I/O, and
imports nothing else of Loom."""
