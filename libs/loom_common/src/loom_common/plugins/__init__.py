"""Keeps one registry of what can be added to Loom: sources, transforms, evaluators, gates and the other kinds.

Every package may look up a plugin here; this package imports nothing of Loom but its errors and texts."""
