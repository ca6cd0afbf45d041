"""Draws graphs of steps."""
