"""Implements the extractor service: it reads slices of a source and publishes batches."""
