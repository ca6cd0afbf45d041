"""Reads the other sources that steps join with."""
