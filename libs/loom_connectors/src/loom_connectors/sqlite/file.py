"""Opens a SQLite file: its URL, its connections, and what its errors mean."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from loom_common.errors import (
    AccessRefused,
    DependencyUnavailable,
    LoomError,
    PermanentError,
    Timeout,
)
from loom_common.sqlite.log import use_write_ahead_log
from loom_connectors.locations import database_file
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.sql.parameters import Timeouts, see_timeouts
from loom_connectors.sqlite.values import text_of
from loom_connectors.storage.local import file_trouble, host, resolved

_STEPS = 10_000
"""Instructions of SQLite's machine between two looks at the clock."""
_REFUSED = ("SQLITE_READONLY", "SQLITE_PERM", "SQLITE_AUTH")
_NO_DATABASE = ("SQLITE_NOTADB", "SQLITE_CORRUPT")
_AWAY = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_FULL", "SQLITE_IOERR", "SQLITE_PROTOCOL", "SQLITE_NOMEM")


@dataclass
class SqliteFile:
    """Represents one database file. It is written through one connection, one transaction at a time."""

    path: Path
    table: str | None
    trouble_is: type[PermanentError]
    timeouts: Timeouts
    _writer: sqlite3.Connection | None = None
    _turn: threading.Lock = field(default_factory=threading.Lock)

    @staticmethod
    def of(location: str, context: ConnectorContext, trouble: type[PermanentError], timeouts: Timeouts) -> SqliteFile:
        """Read the file from `sqlite:///relative.db?table=t` or `sqlite:////absolute.db`. Raises
        `ConfigurationError`."""
        return SqliteFile(*SqliteFile.place_of(location, context), trouble, timeouts)

    @staticmethod
    def place_of(location: str, context: ConnectorContext) -> tuple[Path, str | None]:
        """Return the file, and the table where one is named. Raises `ConfigurationError`."""
        path, table = database_file(location, context)
        return context.paths.real(resolved(path, context.folder)), table

    @property
    def shown(self) -> str:
        return f"sqlite:///{self.path}"

    def opened_to_read(self) -> sqlite3.Connection:
        """Open a connection that cannot write. Raises for a file that is missing or may not be read."""
        with file_trouble(self.path, self.trouble_is, "Put the file there, or correct the path."), self.path.open("rb"):
            pass
        with self.trouble():
            uri = f"{self.path.as_uri()}?mode=ro"
            db = sqlite3.connect(
                uri, uri=True, timeout=self.timeouts.connect, isolation_level=None, check_same_thread=False
            )
            db.text_factory = text_of
            db.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)  # a query reaches no other file
            return db

    def limit(self, db: sqlite3.Connection, seconds: float) -> None:
        """Interrupt what `db` does after so many seconds: it raises `Timeout`."""
        until = time.monotonic() + seconds
        db.set_progress_handler(lambda: time.monotonic() > until, _STEPS)

    @contextmanager
    def writer(self, seconds: float) -> Iterator[sqlite3.Connection]:
        """Lend the one connection that writes, to one caller at a time and for so many seconds at most."""
        with self._turn, self.trouble():
            db = self._writing()
            self.limit(db, seconds)
            yield db

    def close(self) -> None:
        with self._turn:
            if self._writer is not None:
                self._writer.close()
            self._writer = None

    def _writing(self) -> sqlite3.Connection:
        if self._writer is None:
            with file_trouble(self.path, self.trouble_is, "Correct the path."):
                self.path.parent.mkdir(parents=True, exist_ok=True)
            db = sqlite3.connect(self.path, timeout=self.timeouts.load, isolation_level=None, check_same_thread=False)
            try:
                use_write_ahead_log(db.cursor(), self.timeouts.load)
                db.execute("PRAGMA foreign_keys = ON")
            except sqlite3.Error:
                db.close()
                raise
            self._writer = db
        return self._writer

    @contextmanager
    def trouble(self) -> Iterator[None]:
        """Turn errors of the driver into errors of Loom."""
        try:
            yield
        except sqlite3.Error as error:
            raise meaning(error, f"{self.shown} on {host()}", self.trouble_is) from error


def meaning(error: sqlite3.Error, place: str, trouble: type[PermanentError]) -> LoomError:
    """Return what an error of SQLite is to Loom, by its name."""
    name = getattr(error, "sqlite_errorname", "")
    if name == "SQLITE_INTERRUPT":
        return Timeout(f"{place}: not done in time. {see_timeouts(trouble)}")
    if name.startswith(_REFUSED):
        return AccessRefused(f"{place}: {error}. Give this user the permission to write the file and its folder.")
    if name.startswith(_AWAY):
        return DependencyUnavailable(f"{place}: {error}.")
    if name.startswith(_NO_DATABASE):
        return trouble(f"{place}: {error}. Correct the path, or put a whole file of SQLite there.")
    return trouble(f"{place}: {error}.")
