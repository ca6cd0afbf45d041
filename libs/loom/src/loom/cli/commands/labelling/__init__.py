"""Holds the command by which people judge records of a run."""
