"""Finds what is wrong with the steps of a pipeline."""
