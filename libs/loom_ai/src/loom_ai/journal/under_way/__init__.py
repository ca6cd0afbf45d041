"""Knows the calls that are under way in one process, and who waits for what they bring."""
