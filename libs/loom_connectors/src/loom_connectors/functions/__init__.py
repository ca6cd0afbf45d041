"""Implements `python:module:function`: a function of the user's that yields records, and one that takes rows.

The registry comes in here by the scheme `python`."""
