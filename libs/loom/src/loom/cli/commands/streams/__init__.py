"""Implements what `loom run`, `resume` and `drain` do with a pipeline that never ends."""
