"""Hands the records of a run to the Python code that started it, each when it is settled."""
