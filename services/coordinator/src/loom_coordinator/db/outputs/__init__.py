"""Stores what is kept of the outputs of runs, and what came of scoring them again."""
