"""Holds what steps compute that knows nothing of steps: folds of groups, parts of texts, and words that rows share."""
