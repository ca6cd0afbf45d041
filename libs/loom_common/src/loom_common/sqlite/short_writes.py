"""Carries out short writes to a SQLite file in the event loop's own thread.

To append some rows to the write-ahead log takes SQLite a fraction of a millisecond, and waits for no disk. The way to
the connection's thread and back takes several times as long beside an event loop that has much to do, because the
thread waits for the interpreter's lock, and what it did for the end of the loop's turn. What would have to wait goes to
the thread: a write beside that of another connection, and those that move the log into the file, or begin it anew."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any, Self

from loom_common.sqlite.connection import Executed, SqliteConnection

_IN_A_ROW, _IN_THREAD = 100, 2
"""Says that of so many writes the first two go to the thread. One has the log moved into the file where it has become
long, and the next begins it anew: both wait for the disk."""
_LONG_LOG = 1000
"""The pages at which SQLite moves the log into the file by itself, unless it is told otherwise."""


class ShortWritesConnection(SqliteConnection):
    """Represents a connection that writes in the event loop's thread what it is told is short."""

    is_logged = False
    """Tells whether the file has a write-ahead log. Without one, each write waits for the disk."""
    _patience = 5.0
    _short = False
    _writes = 0

    @classmethod
    async def opened(cls, database: str, **settings: Any) -> Self:
        connection = await super().opened(database, **{**settings, "check_same_thread": False})
        connection._patience = settings.get("timeout", cls._patience)
        return connection

    def short_with_next(self) -> None:
        """Take the next statement, which is a transaction of its own, to be a short write."""
        self._short = True

    async def visit(self, work: Callable[[sqlite3.Connection], Executed]) -> Executed:
        short, self._short = self._short, False
        if short and self.is_logged and self._begun == self._ended:  # nothing of it goes on in the thread
            place, self._writes = self._writes % _IN_A_ROW, self._writes + 1
            if place >= _IN_THREAD:
                return await self._at_once(work)
        return await super().visit(work)

    async def _at_once(self, work: Callable[[sqlite3.Connection], Executed]) -> Executed:
        """Do `work` here, or in the thread where it would have to wait for another connection."""
        step = self._step(work)
        self._set(patience=0, long_log=0)
        try:
            return step()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            self._conn.rollback()
        finally:
            self._set(patience=round(self._patience * 1000), long_log=_LONG_LOG)
        return await self._in_thread(step)

    def _set(self, *, patience: int, long_log: int) -> None:
        """Say how many milliseconds are waited for other connections, and at how many pages the log is moved."""
        self._conn.execute(f"PRAGMA busy_timeout = {patience}")
        self._conn.execute(f"PRAGMA wal_autocheckpoint = {long_log}")
