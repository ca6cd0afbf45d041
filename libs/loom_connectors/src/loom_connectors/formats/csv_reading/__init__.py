"""Reads the records of CSV files: many lines without quotes at once, and all others by Python's reader."""
