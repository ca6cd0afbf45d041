"""Looks records up elsewhere, and remembers for a while what was found."""
