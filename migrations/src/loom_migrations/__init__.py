"""The database schema of Loom, as Alembic migrations."""
