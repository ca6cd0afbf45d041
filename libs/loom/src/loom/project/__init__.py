"""Reads what a project's files say: `loom.yaml`, pipelines by name, and pipeline files with the place of every key.

The SDK and the command line come in here."""
