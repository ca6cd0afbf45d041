"""Contains options and arguments that several commands share.

Only the commands come in here; it imports nothing that is slow."""
