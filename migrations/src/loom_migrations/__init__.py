"""The one schema of Loom, as Alembic migrations."""
