"""Opens the write-ahead log of a SQLite file, which lets others read while one writes."""

from __future__ import annotations

import sqlite3
import time
from typing import Any, Protocol

_LOOK_SECONDS = 0.01


class Cursor(Protocol):
    """Describes a cursor of any SQLite driver."""

    def execute(self, statement: str, /) -> Any:
        """Carry out a statement."""
        ...

    def fetchone(self) -> Any:
        """Return the next row of the statement's result."""
        ...


def use_write_ahead_log(cursor: Cursor, patience: float) -> bool:
    """Switch the file to write-ahead logging, which it keeps, and return whether it has it: some file systems cannot.
    SQLite itself does not wait here while another process opens the file; this does, for `patience` seconds. Raises
    `sqlite3.OperationalError` after that."""
    deadline = time.monotonic() + patience
    while True:
        try:
            cursor.execute("PRAGMA journal_mode")
            if cursor.fetchone()[0] == "wal":
                return True
            cursor.execute("PRAGMA journal_mode = WAL")
            return bool(cursor.fetchone()[0] == "wal")
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_LOOK_SECONDS)
