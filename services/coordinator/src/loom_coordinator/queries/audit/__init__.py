"""Compares what is written about a run in several places."""
