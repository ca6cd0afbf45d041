"""Computes and compares the figures of a benchmark, and describes what it found. Pure."""
