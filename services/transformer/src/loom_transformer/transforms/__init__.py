"""Implements how an output is made from an input: one file per type of transform."""
