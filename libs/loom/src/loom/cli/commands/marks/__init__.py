"""Implements `loom state`: up to where pipelines have read their sources."""
