"""Reads slices of a source and publishes batches."""
