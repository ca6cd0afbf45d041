"""Starts runs: of one pipeline, and of those that depend on it."""
