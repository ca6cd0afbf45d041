"""Implements the commands that answer requests over HTTP until Ctrl-C."""
