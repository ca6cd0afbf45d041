"""Implements SQLite as a `LookupDialect`: the standard library's driver in a thread, one statement at a time."""

# ruff: noqa: S608  names are quoted, values are bound
from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from typing import Any, TypeVar

from loom_connectors.ports.lookup import Scalar
from loom_connectors.sql.keyset_paging import limited_to
from loom_connectors.sql.parameters import quoted
from loom_connectors.sql.reading.lookup_dialect import LookupWork
from loom_connectors.sql.reading.source_dialect import ReadColumn
from loom_connectors.sql.threads.blocking import finished
from loom_connectors.sqlite.file import SqliteFile
from loom_connectors.sqlite.values import data_of

Result = TypeVar("Result")
_LARGEST = 2**63


class SqliteLookupSession:
    """Represents a connection to a SQLite file. Its coroutines wait for nothing: they block."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    async def columns(self, query: str, values: Sequence[Any]) -> list[ReadColumn]:
        described = self._db.execute(f"SELECT * FROM (\n{query}\n) LIMIT 0", values).description
        return [ReadColumn(str(each[0]), "", lambda sql: sql, _read) for each in described]

    async def fetch(self, sql: str, values: Sequence[Any]) -> Sequence[Sequence[Any]]:
        return self._db.execute(sql, values).fetchall()


class SqliteLookupDialect:
    """Represents one SQLite file that records are looked up in."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    @property
    def shown(self) -> str:
        return self._file.shown

    def quoted(self, name: str) -> str:
        return quoted(name)

    def marker(self, number: int) -> str:
        return "?"

    def written(self, query: str) -> str:
        return query

    def limited(self, rows: int) -> str:
        return limited_to(rows)

    def key(self, column: ReadColumn, sql: str) -> str:
        return sql

    def key_value(self, column: ReadColumn, marker: str) -> str:
        return marker

    async def read(self, work: LookupWork[Result], seconds: float) -> Result:
        return await asyncio.to_thread(self._read, work, seconds)

    async def close(self) -> None:
        return

    def _read(self, work: LookupWork[Result], seconds: float) -> Result:
        with closing(self._file.opened_to_read()) as db, self._file.trouble():
            self._file.limit(db, seconds)
            return finished(work(SqliteLookupSession(db)))


def bind(column: ReadColumn, value: Scalar) -> Any:  # noqa: ARG001 - the column's affinity is applied
    """Return a value of a key as it is bound. SQLite has no whole number of more than 64 bits."""
    is_large = isinstance(value, int) and not -_LARGEST <= value < _LARGEST
    return str(value) if is_large else value


def _read(value: Any) -> Any:
    data, fault = data_of(("value",), (value,), "")
    if fault is not None:
        raise ValueError(str(fault).strip())
    return data["value"]
