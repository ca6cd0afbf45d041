"""Puts together what a run came to: its records, one of them, and a page of the whole run."""
