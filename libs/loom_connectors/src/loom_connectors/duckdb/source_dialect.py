"""Implements DuckDB as a `SourceDialect`: its driver in a thread, one page at a time."""

# ruff: noqa: S608  names are quoted, values are bound
from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, TypeVar

import duckdb

from loom_common.errors import SourceError
from loom_connectors.duckdb import tables
from loom_connectors.duckdb.file import DuckdbFile
from loom_connectors.duckdb.reading import read_column
from loom_connectors.sql.keyset_paging import ROW, compared_as_rows, limited_to
from loom_connectors.sql.parameters import quoted
from loom_connectors.sql.reading.mark import Compared, MarkColumn
from loom_connectors.sql.reading.source_dialect import Order, ReadColumn, Work
from loom_connectors.sql.table_name import TableName
from loom_connectors.sql.threads.blocking import finished

Result = TypeVar("Result")
_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER")
_COMPARED = {
    **dict.fromkeys(_INTEGERS, (Compared.WHOLE, "BIGINT")),
    **dict.fromkeys(("DECIMAL", "FLOAT", "DOUBLE"), (Compared.FLOAT, "DOUBLE")),
    "DATE": (Compared.DAY, "DATE"),
    **dict.fromkeys(("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"), (Compared.CLOCK, "TIMESTAMP")),
    "TIMESTAMP WITH TIME ZONE": (Compared.MOMENT, "TIMESTAMP WITH TIME ZONE"),
}
"""Says by type how a mark is compared with a column, and the type of the bound."""


class DuckdbSourceSession:
    """Represents a connection to a DuckDB file. Its coroutines wait for nothing: they block."""

    def __init__(self, db: duckdb.DuckDBPyConnection, shown: str) -> None:
        self._db = db
        self._shown = shown

    async def columns(self, query: str, values: Sequence[Any]) -> list[ReadColumn]:
        self._db.execute(f"SELECT * FROM (\n{query}\n) AS {ROW} LIMIT 0", list(values))
        return [read_column(str(each[0]), each[1]) for each in self._db.description or ()]

    async def order(self, table: TableName) -> Order | None:
        kind = tables.kind_of_table(self._db, table)
        if kind is None:
            raise SourceError(f"{self._shown} has no table {table}. Correct `?table=` in `source`.")
        return Order(("rowid",), hidden="rowid") if kind == "BASE TABLE" else None

    async def is_unique(self, table: TableName, keys: Sequence[str]) -> bool:
        return tables.is_unique(self._db, table, keys)

    async def fetch(self, sql: str, values: Sequence[Any]) -> Sequence[Sequence[Any]]:
        return self._db.execute(sql, list(values)).fetchall()


class DuckdbSourceDialect:
    """Represents one DuckDB file that is read."""

    def __init__(self, file: DuckdbFile) -> None:
        self._file = file

    @property
    def shown(self) -> str:
        return self._file.shown

    def quoted(self, name: str) -> str:
        return quoted(name)

    def marker(self, number: int) -> str:
        return f"${number}"

    def written(self, query: str) -> str:
        return query

    def row_text(self, row: str, names: Sequence[str]) -> str:
        return f"md5(struct_pack({', '.join(f'{quoted(name)} := {row}.{quoted(name)}' for name in names)})::VARCHAR)"

    def compared(self, columns: Sequence[str], comparison: str, values: Sequence[str]) -> str:
        return compared_as_rows(columns, comparison, values)

    def limited(self, rows: int) -> str:
        return limited_to(rows)

    def key(self, column: ReadColumn, sql: str) -> str:
        return sql

    def key_form(self, column: ReadColumn, sql: str) -> str:
        return f"{sql}::VARCHAR"

    def key_value(self, column: ReadColumn, marker: str) -> str:
        return f"{marker}::VARCHAR::{column.type}"

    def mark_column(self, column: ReadColumn) -> MarkColumn | None:
        kind, _, _ = column.type.partition("(")
        if kind not in _COMPARED:
            return None
        compared, bound = _COMPARED[kind]
        return MarkColumn(quoted(column.name), compared, lambda marker: f"{marker}::VARCHAR::{bound}")

    async def read(self, work: Work[Result], seconds: float) -> Result:
        return await asyncio.to_thread(self._read, work, seconds)

    async def close(self) -> None:
        await asyncio.to_thread(self._file.close)

    def _read(self, work: Work[Result], seconds: float) -> Result:
        with self._file.lent(seconds, writes=False) as db:
            return finished(work(DuckdbSourceSession(db, self.shown)))
