"""Runs candidates over labelled records, and finds what their answers cost."""
