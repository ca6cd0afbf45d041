"""Computes what a sample of records says of a whole run."""
