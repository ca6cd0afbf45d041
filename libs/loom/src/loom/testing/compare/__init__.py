"""Compares what a run under test came to with what its test expects. Decides, and does no I/O."""
