"""Chooses the thresholds of cascades on records whose right answer is known, and writes them to a file."""
