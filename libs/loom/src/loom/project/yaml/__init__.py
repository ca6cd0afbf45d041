"""Reads the text of YAML files: what is wrong with it, and how much of it is taken.

`loom.project` comes in here; nothing of it is imported here."""
