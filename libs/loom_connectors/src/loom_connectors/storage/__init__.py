"""Defines where files lie: each storage implements the port of `files/storage.py`, and knows no format.

The registry comes in here by the scheme of a location; SQLite, by `local`, for its own file."""
