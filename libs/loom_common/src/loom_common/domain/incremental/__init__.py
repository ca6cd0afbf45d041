"""Defines incremental extraction: up to where a source was read, and which records a run takes. It does no I/O.

The definition of a pipeline, the extractor and the coordinator come in."""
