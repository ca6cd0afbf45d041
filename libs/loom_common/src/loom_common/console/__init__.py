"""Prints what the command lines show: streams, numbers for people, and tables that fit the terminal.

`loom` and `loom-coordinator` come in here; nothing in here knows a command."""
