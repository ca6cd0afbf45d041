"""Stores as tables in Postgres or SQLite.

Only the composition of model calls comes in here."""
