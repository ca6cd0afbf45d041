"""Implements the `loom` command. One file per group of commands; what is heavy is imported when a command needs it."""
