"""Implements the commands that show what a pipeline may name here, and where it comes from."""
