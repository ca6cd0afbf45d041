"""Runs a server that answers like a model provider without a model, for tests and for trying pipelines without a
key."""
