"""Prints results, progress and tables, for people and for programs.

Only the commands come in here."""
