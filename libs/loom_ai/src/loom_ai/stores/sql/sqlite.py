"""Gives engines on SQLite files. What is committed outlives the process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import event

from loom_common.async_engine import AsyncEngine, create_async_engine
from loom_common.sqlite.connection import SqliteConnection
from loom_common.sqlite.log import use_write_ahead_log
from loom_common.sqlite.short_writes import ShortWritesConnection

_BUSY_SECONDS = 10
"""The number of seconds that a writer waits for another process's transaction."""


def sqlite_engine(path: Path, *, survives_power_cuts: bool = False) -> AsyncEngine:
    """Return an engine on the file `path`. A missing folder is created.

    A transaction outlives the process. Whether it also outlives a power cut the caller says: each then waits for the
    disk, and none is carried out in the event loop's thread."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = SqliteConnection if survives_power_cuts else ShortWritesConnection
    settings = {"timeout": _BUSY_SECONDS, "async_creator_fn": kind.opened}
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}", connect_args=settings)

    def prepare(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        # WAL with NORMAL loses nothing when a process dies; only a power cut may take the last transactions.
        logged = use_write_ahead_log(cursor, _BUSY_SECONDS)
        if isinstance(driver := connection.driver_connection, ShortWritesConnection):
            driver.is_logged = logged
        cursor.execute(f"PRAGMA synchronous={'FULL' if survives_power_cuts else 'NORMAL'}")
        cursor.close()

    event.listen(engine.sync_engine, "connect", prepare)
    return engine
