"""Classifies the errors of a SQLite database whose disk is full, whose file is refused, or whose file is damaged."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from loom_common.errors import StateUnusable
from loom_common.file_errors import unusable

_REMEDIES = {
    sqlite3.SQLITE_FULL: "Free space on its disk.",
    sqlite3.SQLITE_IOERR: "See that its disk has room and is sound.",
    sqlite3.SQLITE_READONLY: "Let the user who runs Loom write there, or name another place: `storage: {path: ...}`.",
    sqlite3.SQLITE_PERM: "Let the user who runs Loom write there, or name another place: `storage: {path: ...}`.",
    sqlite3.SQLITE_CANTOPEN: "See that it is a file, in a folder that the user who runs Loom may write to.",
    sqlite3.SQLITE_CORRUPT: "Move it away, or put back a copy from before; Loom begins a new one.",
    sqlite3.SQLITE_NOTADB: "Move it away: it is no database of Loom's. Loom begins a new one.",
}
_RESUME = " What was done is kept: `loom resume` goes on."
_BROKEN = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


@contextmanager
def told_plainly(url: URL) -> Iterator[None]:
    """Raise `StateUnusable`, with file and remedy, for errors that waiting does not repair. Other errors pass."""
    try:
        yield
    except (DBAPIError, OSError) as error:
        if (trouble := state_trouble(url, error)) is not None:
            raise trouble from error
        raise


def state_trouble(url: URL, error: Exception) -> StateUnusable | None:
    """Return the error of a SQLite file that cannot be used; None for any other error."""
    if url.get_backend_name() != "sqlite":
        return None
    place = url.database or ""
    if isinstance(error, OSError):
        return unusable(place, error)
    code = getattr(getattr(error, "orig", None), "sqlite_errorcode", None)
    if code is None or (remedy := _REMEDIES.get(code & 0xFF)) is None:
        return None
    words = str(getattr(error, "orig", error)).splitlines()[0]
    return StateUnusable(f"{place}: {words}. {remedy}{'' if code & 0xFF in _BROKEN else _RESUME}")
