"""Keeps the rows of the other sources that steps join with: in memory, or in the database that all replicas share."""
