"""Defines the database schema of Loom, as Alembic migrations."""
