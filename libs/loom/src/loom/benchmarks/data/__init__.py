"""Joins labels with the records they belong to, and finds what they are compared with."""
