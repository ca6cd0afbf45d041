"""Implements SQLite as a `Source`: a query or a table, read by key or by rowid.

The standard library's driver in threads: a page is one visit to the file."""

# ruff: noqa: S608  names are quoted, values are bound
from __future__ import annotations

import asyncio
import math
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.json_values.plain_values import plain
from loom_common.domain.run.piece import Piece
from loom_common.domain.values.fields import Fields
from loom_common.errors import SourceError, Timeout
from loom_connectors.options import options_of
from loom_connectors.pieces import pieces_between
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.source import Page, ReadRecord
from loom_connectors.sql import keyset_paging
from loom_connectors.sql.key_pieces import starting_at
from loom_connectors.sql.keyset_paging import Dialect, KeyCursor
from loom_connectors.sql.parameters import SqlSourceOptions, bound, quoted
from loom_connectors.sql.reading.mark import Compared, MarkColumn, Narrowing
from loom_connectors.sqlite import pieces
from loom_connectors.sqlite.file import SqliteFile
from loom_connectors.sqlite.tables import affinity_of, is_view
from loom_connectors.sqlite.values import data_of

_ROWID_NAMES = ("rowid", "_rowid_", "oid")


class SqliteSource:
    """Reads a query or a table."""

    is_near = True

    def __init__(self, config: ExtractConfig, context: ConnectorContext) -> None:
        options = options_of(SqlSourceOptions, config.options, "extract")
        self._timeouts = options.timeouts
        self._file = SqliteFile.of(config.source, context, SourceError, options.timeouts)
        self._table = self._file.table
        self._keys = config.keys
        self._narrowing = Narrowing(config.incremental, context.start)
        self._values: list[Any] = []
        self._narrowed_once: tuple[str, list[Any]] | None = None
        keyset_paging.see_query_or_table(config.query, self._table, self._file.shown)
        if self._table is not None:
            self._query = f"SELECT * FROM {quoted(self._table)}"
        else:
            self._query, values = bound(config.query or "", context.params, lambda _: "?")
            self._values = [plain(value) for value in values]

    async def check(self) -> None:
        await asyncio.to_thread(self._check)

    async def count(self) -> int | None:
        return await asyncio.to_thread(self._count)

    async def fields(self) -> Fields | None:
        return await asyncio.to_thread(self._fields)

    async def starts_by(self) -> str | None:
        return await asyncio.to_thread(self._starts_by)

    async def split(self, parts: int | None) -> Sequence[Piece]:
        return await asyncio.to_thread(self._split, parts)

    async def read(self, cursor: Any, limit: int, until: Any = None) -> Page:
        return await asyncio.to_thread(self._read, cursor, limit, until)

    async def close(self) -> None:
        return

    def _check(self) -> None:
        with closing(self._file.opened_to_read()) as db, self._file.trouble():
            columns = self._columns(db)
            if not self._keys:
                self._rowid(db, columns)

    def _fields(self) -> Fields:
        with closing(self._file.opened_to_read()) as db, self._file.trouble():
            return Fields(tuple(self._names(db)), certain=True)

    def _count(self) -> int | None:
        sql = f"SELECT count(*) FROM (\n{self._query}\n)"
        try:
            with closing(self._file.opened_to_read()) as db, self._file.trouble():
                self._file.limit(db, self._timeouts.count)
                return int(db.execute(sql, self._values).fetchone()[0])
        except Timeout:
            return None

    def _starts_by(self) -> str | None:
        with closing(self._file.opened_to_read()) as db, self._file.trouble():
            return self._narrowing.words(self._mark_column(db))

    def _narrowed(self, db: sqlite3.Connection) -> tuple[str, list[Any]]:
        """Return the query for the rows that the run takes, as far as SQLite can tell, and what is bound in it."""
        if self._narrowing.start is None:
            return self._query, self._values
        if self._narrowed_once is None:
            column = self._mark_column(db)
            self._narrowed_once = self._narrowing.of(self._query, self._values, column, "?")
        return self._narrowed_once

    def _mark_column(self, db: sqlite3.Connection) -> MarkColumn | None:
        """Return how SQLite compares the column of the mark. Where texts are compared as texts, only times are; else
        numbers are, too."""
        config, start = self._narrowing.config, self._narrowing.start
        if config is None or config.column not in self._names(db):
            return None
        text = affinity_of(db, self._query, self._values, config.column) == "TEXT"
        is_number = not text if start is None else start.kind == "number"
        if is_number and text:
            return None
        if is_number:
            return MarkColumn(quoted(config.column), Compared.WHOLE, lambda marker: marker, int)
        return MarkColumn(quoted(config.column), Compared.DAY_TEXT, lambda marker: marker)

    def _split(self, parts: int | None) -> Sequence[Piece]:
        with closing(self._file.opened_to_read()) as db:
            try:
                with self._file.trouble():
                    self._file.limit(db, self._timeouts.count)
                    return self._pieces(db, self._columns(db), parts)
            except Timeout:
                return [Piece()]

    def _pieces(self, db: sqlite3.Connection, columns: Sequence[str], parts: int | None) -> Sequence[Piece]:
        if not self._keys:
            rowid = self._rowid(db, columns)
            return pieces_between(pieces.rowids(db, self._table or "", rowid, parts))
        rowid_or_none = self._rowid_name(db, columns)
        query, values = self._narrowed(db)
        whole = self._table is not None and rowid_or_none is not None and query == self._query
        table = (self._table or "", rowid_or_none or "") if whole else None
        keys = pieces.keys(db, query, values, self._keys[0], table, parts)
        return pieces_between(starting_at([_to_cursor(key) for key in keys]), whole_keys=True)

    def _read(self, cursor: Any, limit: int, until: Any) -> Page:
        with closing(self._file.opened_to_read()) as db, self._file.trouble():
            self._file.limit(db, self._timeouts.query)
            columns = self._columns(db)
            if self._keys:
                end = None if until is None else KeyCursor.of(until)
                return self._by_key(db, columns, KeyCursor.of(cursor), limit, end)
            return self._by_rowid(db, columns, cursor, limit, until)

    def _by_key(
        self, db: sqlite3.Connection, columns: Sequence[str], cursor: KeyCursor, limit: int, until: KeyCursor | None
    ) -> Page:
        dialect = Dialect(
            row_text=" || '|' || ".join(f"quote({keyset_paging.ROW}.{quoted(name)})" for name in columns),
            # BINARY compares as Python does: `a` is not `A`.
            key=lambda name: f"{keyset_paging.ROW}.{quoted(name)} COLLATE BINARY",
            value=lambda _number, _name: "?",
        )
        query, values = self._narrowed(db)
        records: list[ReadRecord] = []
        while True:
            room = limit - len(records)
            sql = keyset_paging.page_sql(query, self._keys, cursor, room, dialect, len(values), until)
            edges = [*(cursor.last or ()), *(until.last or () if until else ())]
            rows = db.execute(sql, [*values, *map(_from_cursor, edges)]).fetchall()
            names = [*columns, keyset_paging.ROW_TEXT] if cursor.nulls else list(columns)
            places = [names.index(name) for name in ((keyset_paging.ROW_TEXT,) if cursor.nulls else self._keys)]
            found = [tuple(row[place] for place in places) for row in rows]
            ordinals = keyset_paging.ordinals(found)
            for row, ordinal in list(zip(rows, ordinals, strict=True))[cursor.given :]:
                shown = {key: _shown(row[names.index(key)]) for key in self._keys}
                place = keyset_paging.place(self._keys, shown, ordinal, row[-1] if cursor.nulls else None)
                records.append(self._record(columns, row, place))
            cursor, over = keyset_paging.advance(cursor, found, room)
            if not over or cursor.nulls or until is not None:
                if cursor.last is not None:
                    cursor = replace(cursor, last=tuple(map(_to_cursor, cursor.last)))
                return Page(records, cursor.json, end=over)
            cursor = KeyCursor(nulls=True)

    def _by_rowid(
        self, db: sqlite3.Connection, columns: Sequence[str], cursor: int | None, limit: int, until: int | None
    ) -> Page:
        rowid = self._rowid(db, columns)
        edges = {f"{rowid} > ?": cursor, f"{rowid} <= ?": until}
        given = {condition: edge for condition, edge in edges.items() if edge is not None}
        where = f"WHERE {' AND '.join(given)}" if given else ""
        sql = f"SELECT {rowid}, * FROM {quoted(self._table or '')} {where} ORDER BY {rowid} LIMIT ?"
        rows = db.execute(sql, [*given.values(), limit]).fetchall()
        records = [self._record(columns, row[1:], f"row {row[0]}") for row in rows]
        return Page(records, rows[-1][0] if rows else cursor, end=len(rows) < limit)

    def _record(self, columns: Sequence[str], row: Sequence[Any], place: str) -> ReadRecord:
        what = f"table {self._table}" if self._table else "query"
        return ReadRecord(place, *data_of(columns, row, f"{self._file.shown} {what}, {place},"))

    def _columns(self, db: sqlite3.Connection) -> list[str]:
        """Return the columns. Raises `ConfigurationError` for a key that is none of them."""
        columns = self._names(db)
        keyset_paging.see_columns(columns, self._keys, f"the table {self._table}" if self._table else "the query")
        return columns

    def _names(self, db: sqlite3.Connection) -> list[str]:
        sql = f"SELECT * FROM (\n{self._query}\n) LIMIT 0"
        return [str(each[0]) for each in db.execute(sql, self._values).description]

    def _rowid(self, db: sqlite3.Connection, columns: Sequence[str]) -> str:
        """Return the name that the table's rowid goes by. Raises `ConfigurationError` where there is none."""
        if self._table is None:
            raise keyset_paging.no_order("A query")
        name = self._rowid_name(db, columns)
        if name is None:
            raise keyset_paging.no_order(f"{self._table} (a view, or a table without rowid)")
        return name

    def _rowid_name(self, db: sqlite3.Connection, columns: Sequence[str]) -> str | None:
        """Return the name that the table's rowid goes by; None where it has none, and where there is no table."""
        if self._table is None or is_view(db, self._table):
            return None
        taken = {name.lower() for name in columns}
        return next((name for name in _ROWID_NAMES if name not in taken), None)


def _to_cursor(value: Any) -> Any:
    """SQLite tells a number from a text and from bytes, so the cursor does. JSON has no form for infinity."""
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    return {"infinite": value > 0} if isinstance(value, float) and not math.isfinite(value) else value


def _from_cursor(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return bytes.fromhex(value["bytes"]) if "bytes" in value else math.inf if value["infinite"] else -math.inf


def _shown(value: Any) -> Any:
    """Write a key so that a person sees it: bytes as SQLite writes them."""
    return f"X'{value.hex().upper()}'" if isinstance(value, bytes) else value
