"""Scores each output and lets its gate decide."""
