"""Writes what passed to the destination, each batch once."""
