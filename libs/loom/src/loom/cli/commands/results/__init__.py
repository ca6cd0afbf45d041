"""Implements the commands that show what a run came to."""
