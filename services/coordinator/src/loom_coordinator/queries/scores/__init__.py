"""Queries the scores of whole runs: how they are distributed, and how those of two runs differ."""
