"""Upgrades a database to the newest schema. It is idempotent, and several processes may try at once."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import TextIO

from sqlalchemy import URL, Connection, inspect, text

from loom_common import file_locks
from loom_common.async_engine import AsyncEngine
from loom_common.domain.values.urls import redacted
from loom_common.errors import StateUnusable
from loom_migrations import new_sqlite
from loom_migrations.engine import open_engine
from loom_migrations.reachable import first_contact
from loom_migrations.trouble import told_plainly

_HERE = Path(__file__).parent
_FOLLOWS = re.compile(r'^down_revision = "(\w+)"', re.MULTILINE)
_LOCK = 7_310_116  # this arbitrary number is the Postgres advisory lock of migrations


def newest() -> str:
    """Return the newest revision: the one that no other follows. Numbers may be out of order."""
    (last,) = _known().keys() - _known().values()
    return last


@cache
def _known() -> dict[str, str | None]:
    """Return every revision, with the one that it follows. Migration files are named `<revision>_<what>.py`."""
    found = {}
    for path in (_HERE / "versions").glob("[0-9]*.py"):
        follows = _FOLLOWS.search(path.read_text(encoding="utf-8"))
        found[path.name.split("_", 1)[0]] = follows[1] if follows else None
    return found


def _place(connection: Connection) -> str:
    url = connection.engine.url
    return url.database or "" if url.get_backend_name() == "sqlite" else redacted(url.render_as_string())


async def upgrade(engine: AsyncEngine, to: str = "head") -> None:
    """Apply the missing migrations up to the revision `to`. Raises `StateUnusable` where the database cannot be used,
    and `DependencyUnavailable` where it does not answer."""
    with first_contact(engine.url), told_plainly(engine.url):
        async with _alone(engine.url), engine.begin() as connection:
            await connection.run_sync(_upgrade, to)


async def upgrade_all(urls: Iterable[str]) -> None:
    """Apply the missing migrations to each of these databases."""
    for url in urls:
        engine = open_engine(url)
        try:
            await upgrade(engine)
        finally:
            await engine.dispose()


async def is_current(engine: AsyncEngine) -> bool:
    """Say whether the database has the newest schema. Raises `StateUnusable` where it cannot be used, and
    `DependencyUnavailable` where it does not answer."""
    with first_contact(engine.url), told_plainly(engine.url):
        async with engine.connect() as connection:
            return await connection.run_sync(_revision) == newest()


@asynccontextmanager
async def _alone(url: URL) -> AsyncIterator[None]:
    """Keep other processes from upgrading the same SQLite file. Postgres has a lock of its own for that."""
    if url.get_backend_name() != "sqlite" or url.database in (None, "", ":memory:"):
        yield
        return
    with contextlib.closing(await asyncio.to_thread(_locked, Path(f"{url.database}.lock"))):
        yield


def _locked(path: Path) -> TextIO:
    """Return the file, locked until it is closed."""
    file = path.open("w")
    file_locks.lock(file)
    return file


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _upgrade(connection: Connection, to: str) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    found = _revision(connection)
    if found == newest():
        return
    if found is not None and found not in _known():
        raise StateUnusable(
            f"{_place(connection)} has the schema {found}, which a newer Loom made; this one knows up to {newest()}. "
            "Install that version again, or name another place for the state."
        )
    if (
        found is None
        and to in ("head", newest())
        and new_sqlite.is_new(connection)
        and new_sqlite.written_for(newest())
    ):
        new_sqlite.make(connection)
    else:
        migrate(connection, to)


def migrate(connection: Connection, to: str) -> None:
    """Apply the missing migrations up to the revision `to`, one after the other."""
    from alembic import command  # it takes half a second to import, and a new SQLite file does not need it
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_HERE))
    config.attributes["connection"] = connection
    command.upgrade(config, to)
