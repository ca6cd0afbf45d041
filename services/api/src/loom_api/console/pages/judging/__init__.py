"""Declares the pages on which people judge records, and score outputs of runs again."""
