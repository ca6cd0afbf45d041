"""Holds the commands that score and compare what runs made."""
