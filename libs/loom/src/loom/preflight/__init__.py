"""Finds out before a run whether everything it needs is there, and what it would cost.

`loom validate`, `loom cost` and `loom run` come in here."""
