"""Tells editors what may stand in the files of a project."""
