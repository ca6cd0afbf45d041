"""Queries what each record of a run came to, of runs over a few records that somebody gave."""
