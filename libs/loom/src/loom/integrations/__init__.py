"""Holds the names by which other systems' users find Loom's parts for them."""
