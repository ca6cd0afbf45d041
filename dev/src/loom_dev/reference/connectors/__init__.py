"""Holds the text of docs/connectors.md about the connectors that Loom brings."""
