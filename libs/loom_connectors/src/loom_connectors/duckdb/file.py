"""Opens a DuckDB file, which one process at a time may write: its connection, its waits, and what its errors mean.

A file that a process has open for writing cannot be opened by another, not even for reading; one that is open for
reading cannot be opened for writing. So a connection is closed once it is idle, and after a second of work, and who
finds the file open elsewhere waits for its turn. Opening takes some 50 ms, so it is not done for every batch."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from weakref import WeakValueDictionary

import duckdb

from loom_common.allowed_paths import AllowedPaths
from loom_common.errors import (
    AccessRefused,
    Conflict,
    DependencyUnavailable,
    LoomError,
    PermanentError,
    Timeout,
)
from loom_connectors.locations import database_file
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.sql.parameters import Timeouts, see_timeouts
from loom_connectors.sql.table_name import TableName
from loom_connectors.storage.local import file_trouble, host, resolved

_IDLE_SECONDS = 0.3
"""The time without work after which the file is closed."""
_MOST_SECONDS = 1.0
"""The time for which the file is kept open while there is work."""
_PAUSE_SECONDS = 0.1
"""The time for which the file then stays closed, so that another process finds it free."""
_POLL_SECONDS = 0.03
_MAGIC = (b"DUCK", 8)
"""The letters by which a file of DuckDB is known, and their place."""


_WRITERS: WeakValueDictionary[Path, threading.Lock] = WeakValueDictionary()
"""The turn to write each file, which all of this process who write it share. DuckDB lets several connections of a
process write at once, but where one alters a table while another's transaction on it fails, values of rows that are
loaded later can stand in other rows (2.0.1, seen)."""
_WRITERS_TURN = threading.Lock()


@dataclass
class DuckdbFile:
    """Represents one database file. One caller at a time gets its connection."""

    path: Path
    trouble_is: type[PermanentError]
    timeouts: Timeouts
    paths: AllowedPaths
    _db: duckdb.DuckDBPyConnection | None = None
    _writes: bool = False
    _opened_at: float = 0.0
    _free_until: float = 0.0
    _closing: threading.Timer | None = None
    _turn: threading.Lock = field(default_factory=threading.Lock)
    _to_write: threading.Lock = field(init=False)

    def __post_init__(self) -> None:
        with _WRITERS_TURN:
            self._to_write = _WRITERS.setdefault(self.path, threading.Lock())

    @staticmethod
    def of(
        location: str, context: ConnectorContext, trouble: type[PermanentError], timeouts: Timeouts
    ) -> tuple[DuckdbFile, TableName | None]:
        """Read the file, and the table where one is named, from `duckdb:///relative.db?table=t`, `duckdb://relative.db`
        or `duckdb:////absolute.db`. Raises `ConfigurationError`."""
        path, table = database_file(location, context)
        paths = context.paths
        file = DuckdbFile(paths.real(resolved(path, context.folder)), trouble, timeouts, paths)
        return file, TableName.of(table) if table else None

    @property
    def shown(self) -> str:
        return f"duckdb:///{self.path}"

    @contextmanager
    def lent(self, seconds: float, *, writes: bool) -> Iterator[duckdb.DuckDBPyConnection]:
        """Lend the connection, to one caller at a time and for so many seconds at most; to write, to one caller of this
        process at a time. Errors of the driver leave it as errors of Loom."""
        with self._to_write if writes else nullcontext(), self._turn, self._trouble():
            if self._closing is not None:
                self._closing.cancel()
            db = self._opened(writes=writes)
            limit = threading.Timer(seconds, db.interrupt)
            limit.daemon = True
            limit.start()
            try:
                yield db
            finally:
                limit.cancel()
                self._pass_on()

    def close(self) -> None:
        with self._turn:
            self._close()

    def _opened(self, *, writes: bool) -> duckdb.DuckDBPyConnection:
        if self._db is not None and (self._writes or not writes):
            return self._db
        self._close()
        time.sleep(max(0.0, self._free_until - time.monotonic()))
        with file_trouble(self.path, self.trouble_is, "Put the file there, or correct the path."):
            if writes:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            self._see_that_it_is_one(must_exist=not writes)
        self._db = self._connected(writes=writes)
        self._db.execute("SET TimeZone = 'UTC'")
        self._stay(self._db)
        self._opened_at = time.monotonic()
        return self._db

    def _stay(self, db: duckdb.DuckDBPyConnection) -> None:
        """Let no statement reach another file than pipelines may. Connections of one process to one file share the
        setting, which cannot be taken back, and two of them may want it at once."""
        if _stays(db):
            return
        folders = ", ".join("'" + str(root).replace("'", "''") + "'" for root in self.paths.roots)
        try:
            db.execute(f"SET allowed_directories = [{folders}]")
            db.execute("SET enable_external_access = false")
        except duckdb.InvalidInputException:
            if not _stays(db):
                raise

    def _connected(self, *, writes: bool) -> duckdb.DuckDBPyConnection:
        """Connect, as soon as no other process is in the way. Within one process, connections share the file; one that
        only reads joins those that write."""
        until = time.monotonic() + self.timeouts.connect
        while True:
            for read_only in (False,) if writes else (True, False):
                try:
                    db = duckdb.connect(self.path, read_only=read_only)
                except duckdb.ConnectionException as error:
                    reason = str(error)
                except duckdb.IOException as error:
                    reason = str(error)
                    break
                else:
                    self._writes = not read_only
                    return db
            if time.monotonic() > until:
                with file_trouble(self.path, self.trouble_is, "Put the file there, or correct the path."):
                    if not self.path.stat().st_size:  # one that is being made is empty for a moment
                        raise self.trouble_is(
                            f"{self.path} on {host()} is empty, which is no DuckDB database. Remove it, or correct the "
                            "path."
                        )
                raise DependencyUnavailable(
                    f"{self.shown} on {host()} was not free for {self.timeouts.connect:g} s: "
                    f"{_first_line(reason)}. One process at a time may write a DuckDB file, and no other may read it "
                    "meanwhile. Close it there, or raise options.timeouts.connect."
                )
            time.sleep(_POLL_SECONDS)

    def _see_that_it_is_one(self, *, must_exist: bool) -> None:
        """Raise what `file_trouble` reports for a file that is missing, and `trouble_is` for one of another kind."""
        if not must_exist and not self.path.exists():
            return
        letters, place = _MAGIC
        with self.path.open("rb") as stream:
            start = stream.read(place + len(letters))
        if start and start[place:] != letters:
            raise self.trouble_is(f"{self.path} on {host()} is no DuckDB database. Correct the path.")

    def _pass_on(self) -> None:
        """Close the file where it was open for long, else once nobody has used it for a while."""
        if time.monotonic() - self._opened_at > _MOST_SECONDS:
            self._close()
            self._free_until = time.monotonic() + _PAUSE_SECONDS
            return
        self._closing = threading.Timer(_IDLE_SECONDS, self._close_if_idle)
        self._closing.daemon = True
        self._closing.start()

    def _close_if_idle(self) -> None:
        if self._turn.acquire(blocking=False):  # else somebody uses it
            try:
                self._close()
            finally:
                self._turn.release()

    def _close(self) -> None:
        if self._closing is not None:
            self._closing.cancel()
        if self._db is not None:
            self._db.close()
        self._db, self._closing = None, None

    @contextmanager
    def _trouble(self) -> Iterator[None]:
        try:
            yield
        except duckdb.Error as error:
            raise meaning(error, f"{self.shown} on {host()}", self.trouble_is) from error


def _stays(db: duckdb.DuckDBPyConnection) -> bool:
    """Tell whether statements reach no file that is not allowed."""
    return db.execute("SELECT current_setting('enable_external_access')").fetchone() == (False,)


def meaning(error: duckdb.Error, place: str, trouble: type[PermanentError]) -> LoomError:
    """Return what an error of DuckDB is to Loom, by its type."""
    words = _first_line(str(error))
    match error:
        case duckdb.InterruptException():
            return Timeout(f"{place}: not done in time. {see_timeouts(trouble)}")
        case duckdb.TransactionException():
            return Conflict(f"{place}: {words}.")
        case duckdb.PermissionException():
            return AccessRefused(f"{place}: {words}. Give this user the permission.")
        case duckdb.IOException() | duckdb.OutOfMemoryException():
            return DependencyUnavailable(f"{place}: {words}.")
        case _:
            return trouble(f"{place}: {words}.")


def _first_line(words: str) -> str:
    return words.strip().partition("\n")[0].rstrip(".")
