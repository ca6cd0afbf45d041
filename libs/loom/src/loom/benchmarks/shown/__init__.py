"""Writes a benchmark for people and programs: in words, as plots, as a page, as files."""
