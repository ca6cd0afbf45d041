"""Implements the commands that write a pipeline to begin with."""
