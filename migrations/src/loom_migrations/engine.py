"""Creates database engines with the same rules: short connection timeouts, time-limited statements, and one writer in
SQLite."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.pool import AsyncAdaptedQueuePool

from loom_common import poolers
from loom_common.async_engine import WRITES, AsyncEngine, create_async_engine, ping_before_use, see_no_pooler
from loom_common.domain.values.urls import redacted
from loom_common.sqlite.connection import SqliteConnection
from loom_common.sqlite.log import use_write_ahead_log
from loom_common.text import storable
from loom_migrations.trouble import told_plainly

SQLITE_BUSY_SECONDS = 15.0


def open_engine(url: str, *, reads: bool = False, pool_size: int = 5, ping_after: float = 0.0) -> AsyncEngine:
    """Return an engine for `sqlite:///path` or `postgresql://...`, which connects at its first use.

    SQLite has one writer: a process opens one connection and takes the write lock at the start of a transaction, so
    that none fails half-way. With `reads`, only transactions of `begin()` take it, and those of `connect()` may not
    write.

    A connection to Postgres is tested before each use that comes more than `ping_after` seconds after its last one. Who
    says more than 0 must repeat a transaction that fails because its connection was lost meanwhile."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(url, reads=reads)
    from loom_common.config.settings import DatabaseSettings  # SQLite needs none of the limits

    limits = DatabaseSettings()
    pooled = poolers.pools_sessions(parsed.query)
    engine = create_async_engine(
        parsed.set(drivername="postgresql+asyncpg").difference_update_query([poolers.SETTING]),
        pool_size=pool_size,
        max_overflow=0,
        pool_use_lifo=True,  # the connection that was used last, which has its statements prepared
        connect_args={
            "timeout": limits.connect_timeout,
            "command_timeout": limits.complex_timeout,
            "server_settings": limits.on_the_server(limits.complex_timeout),
        },
    )
    if not pooled:
        see_no_pooler(engine, redacted(url))
    _takes_any_text(engine)
    ping_before_use(engine, ping_after)
    return engine


def _takes_any_text(engine: AsyncEngine) -> None:
    """Replace what Postgres cannot store in a text (NUL, half a surrogate pair) in all bound values. Reasons and
    explanations come from user code, and one of them must not make a statement fail for all records."""

    @event.listens_for(engine.sync_engine, "before_cursor_execute", retval=True)
    def replace(
        _connection: Connection, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: object
    ) -> tuple[str, Any]:
        # The values' shapes are checked, because SQLAlchemy says "many" also of an INSERT with many rows and one flat
        # tuple.
        many = isinstance(parameters, list)
        return statement, [_storable(each) for each in parameters] if many else _storable(parameters)


def _storable(parameters: Any) -> Any:
    if isinstance(parameters, Mapping):
        return {name: storable(value) if isinstance(value, str) else value for name, value in parameters.items()}
    return tuple([storable(value) if type(value) is str else value for value in parameters])  # quicker than isinstance


def _sqlite(url: str, *, reads: bool) -> AsyncEngine:
    parsed = make_url(url).set(drivername="sqlite+aiosqlite")
    if parsed.database and parsed.database != ":memory:":
        with told_plainly(parsed):
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
            if Path(parsed.database).is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), parsed.database)
    settings = {"async_creator_fn": SqliteConnection.opened}
    engine = create_async_engine(
        parsed, poolclass=AsyncAdaptedQueuePool, pool_size=1, max_overflow=0, connect_args=settings
    )

    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # transactions begin where the code says, below
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={int(SQLITE_BUSY_SECONDS * 1000)}")
        use_write_ahead_log(cursor, SQLITE_BUSY_SECONDS)
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        writes = not reads or connection.get_execution_options().get(WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine
