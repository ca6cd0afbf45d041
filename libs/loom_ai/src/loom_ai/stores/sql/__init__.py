"""Stores in tables of Postgres or SQLite.

Only the composition of model calls imports them."""
