"""Bring a database to the newest schema. Idempotent, and safe when several processes try at once."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import AsyncEngine

from loom_migrations.engine import open_engine

_HERE = Path(__file__).parent
_LOCK = 7_310_116  # any number that is ours: the Postgres advisory lock of migrations


def newest() -> str:
    """The newest revision: migration files are named `<revision>_<what>.py`, in order."""
    return max(path.name.split("_", 1)[0] for path in (_HERE / "versions").glob("[0-9]*.py"))


async def upgrade(engine: AsyncEngine) -> None:
    """Apply what is missing."""
    async with engine.begin() as connection:
        await connection.run_sync(_upgrade)


async def upgrade_all(urls: Iterable[str]) -> None:
    """Apply what is missing in each of these databases."""
    for url in urls:
        engine = open_engine(url)
        try:
            await upgrade(engine)
        finally:
            await engine.dispose()


async def is_current(engine: AsyncEngine) -> bool:
    """Whether the database has the newest schema."""
    async with engine.connect() as connection:
        return await connection.run_sync(_revision) == newest()


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _upgrade(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    if _revision(connection) == newest():
        return
    from alembic import command  # half a second to import, needed once per database
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_HERE))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
