"""Holds the sections of `loom.yaml`, and how they fill definitions that are silent.

`loom.project` comes in here; nothing of it is imported here."""
