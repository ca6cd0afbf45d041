"""SQLite: a `Source` that reads by key or by rowid, and a `Destination` with a load ledger.

The standard library's driver in threads: a page or a batch is one visit to the file."""

# ruff: noqa: S608  names are quoted, values are bound
from __future__ import annotations

import asyncio
import math
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any, Literal

from loom_common.domain.pipeline import ExtractConfig, LoadConfig
from loom_common.domain.plain_values import plain
from loom_common.errors import ConfigurationError, DestinationError, SourceError, Timeout
from loom_connectors import keyset
from loom_connectors.columns import columns_of, kinds, lacking, unknown_everywhere
from loom_connectors.keyset import Dialect, KeyCursor
from loom_connectors.options import options_of
from loom_connectors.outcome import (
    failed_as_json,
    left_out,
    result_of,
    sorted_out,
    staging_name,
    stored_result,
    threads_of,
)
from loom_connectors.places import see_that_it_can_be_written
from loom_connectors.ports import Fields, Guarantee, LoadBatch, LoadResult, Page, ReadRecord, Surroundings
from loom_connectors.sql import SqlDestinationOptions, SqlSourceOptions, bound, quoted
from loom_connectors.sqlite_file import SqliteFile
from loom_connectors.sqlite_tables import (
    columns_of_table,
    copy_rows,
    is_view,
    loaded_threads,
    make_ledger,
    make_staging,
    make_table,
    unique_keys,
    write,
)
from loom_connectors.sqlite_values import data_of

_ROWID_NAMES = ("rowid", "_rowid_", "oid")


class SqliteSource:
    """A query, or a table."""

    def __init__(self, config: ExtractConfig, surroundings: Surroundings) -> None:
        options = options_of(SqlSourceOptions, config.options, "extract")
        self._timeouts = options.timeouts
        self._file = SqliteFile.of(config.source, surroundings, SourceError, options.timeouts)
        self._table = self._file.table
        self._keys = config.keys
        self._values: list[Any] = []
        keyset.see_query_or_table(config.query, self._table, self._file.shown)
        if self._table is not None:
            self._query = f"SELECT * FROM {quoted(self._table)}"
        else:
            self._query, values = bound(config.query or "", surroundings.params, lambda _: "?")
            self._values = [plain(value) for value in values]

    async def check(self) -> None:
        await asyncio.to_thread(self._check)

    async def count(self) -> int | None:
        return await asyncio.to_thread(self._count)

    async def fields(self) -> Fields | None:
        return await asyncio.to_thread(self._fields)

    async def read(self, cursor: Any, limit: int) -> Page:
        return await asyncio.to_thread(self._read, cursor, limit)

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

    def _read(self, cursor: Any, limit: int) -> Page:
        with closing(self._file.opened_to_read()) as db, self._file.trouble():
            self._file.limit(db, self._timeouts.query)
            columns = self._columns(db)
            if self._keys:
                return self._by_key(db, columns, KeyCursor.of(cursor), limit)
            return self._by_rowid(db, columns, cursor, limit)

    def _by_key(self, db: sqlite3.Connection, columns: Sequence[str], cursor: KeyCursor, limit: int) -> Page:
        dialect = Dialect(
            row_text=" || '|' || ".join(f"quote({keyset.ROW}.{quoted(name)})" for name in columns),
            key=lambda name: f"{keyset.ROW}.{quoted(name)} COLLATE BINARY",  # as Python compares: `a` is not `A`
            value=lambda _number, _name: "?",
        )
        records: list[ReadRecord] = []
        while True:
            room = limit - len(records)
            sql = keyset.page_sql(self._query, self._keys, cursor, room, dialect, len(self._values))
            rows = db.execute(sql, [*self._values, *map(_from_cursor, cursor.last or ())]).fetchall()
            names = [*columns, keyset.ROW_TEXT] if cursor.nulls else list(columns)
            places = [names.index(name) for name in ((keyset.ROW_TEXT,) if cursor.nulls else self._keys)]
            found = [tuple(row[place] for place in places) for row in rows]
            ordinals = keyset.ordinals(found)
            for row, ordinal in list(zip(rows, ordinals, strict=True))[cursor.given :]:
                shown = {key: _shown(row[names.index(key)]) for key in self._keys}
                place = keyset.place(self._keys, shown, ordinal, row[-1] if cursor.nulls else None)
                records.append(self._record(columns, row, place))
            cursor, over = keyset.advance(cursor, found, room)
            if not over or cursor.nulls:
                if cursor.last is not None:
                    cursor = replace(cursor, last=tuple(map(_to_cursor, cursor.last)))
                return Page(records, cursor.json, end=over)
            cursor = KeyCursor(nulls=True)

    def _by_rowid(self, db: sqlite3.Connection, columns: Sequence[str], cursor: Any, limit: int) -> Page:
        rowid = self._rowid(db, columns)
        after = "" if cursor is None else f"WHERE {rowid} > ?"
        sql = f"SELECT {rowid}, * FROM {quoted(self._table or '')} {after} ORDER BY {rowid} LIMIT ?"
        rows = db.execute(sql, [*([] if cursor is None else [cursor]), limit]).fetchall()
        records = [self._record(columns, row[1:], f"row {row[0]}") for row in rows]
        return Page(records, rows[-1][0] if rows else cursor, end=len(rows) < limit)

    def _record(self, columns: Sequence[str], row: Sequence[Any], place: str) -> ReadRecord:
        what = f"table {self._table}" if self._table else "query"
        return ReadRecord(place, *data_of(columns, row, f"{self._file.shown} {what}, {place},"))

    def _columns(self, db: sqlite3.Connection) -> list[str]:
        """The columns. Raises `ConfigurationError` for a key that is none of them."""
        columns = self._names(db)
        keyset.see_columns(columns, self._keys, f"the table {self._table}" if self._table else "the query")
        return columns

    def _names(self, db: sqlite3.Connection) -> list[str]:
        sql = f"SELECT * FROM (\n{self._query}\n) LIMIT 0"
        return [str(each[0]) for each in db.execute(sql, self._values).description]

    def _rowid(self, db: sqlite3.Connection, columns: Sequence[str]) -> str:
        """The name that the table's rowid goes by. Raises `ConfigurationError` where there is none."""
        if self._table is None:
            raise keyset.no_order("A query")
        taken = {name.lower() for name in columns}
        name = next((name for name in _ROWID_NAMES if name not in taken), None)
        if name is None or is_view(db, self._table):
            raise keyset.no_order(f"{self._table} (a view, or a table without rowid)")
        return name


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
    """A key where a person sees it: bytes as SQLite writes them."""
    return f"X'{value.hex().upper()}'" if isinstance(value, bytes) else value


class SqliteDestination:
    """A table. Modes `append` (the default), `upsert` and `replace`."""

    def __init__(self, config: LoadConfig, surroundings: Surroundings) -> None:
        self._options = options_of(SqlDestinationOptions, config.options, "load")
        self._file = SqliteFile.of(config.destination, surroundings, DestinationError, self._options.timeouts)
        if self._file.table is None:
            raise ConfigurationError(
                f"load.destination: {self._file.shown} names no table; add `?table=name` at its end."
            )
        self._table = self._file.table
        self._mode: Literal["append", "upsert", "replace"] = config.mode or "append"
        self._key = tuple(config.key) if self._mode == "upsert" else ()
        self._schema = surroundings.output_schema
        self._expected = list(dict.fromkeys([*config.key, *config.include, *kinds(self._schema, ())]))

    @property
    def guarantee(self) -> Guarantee:
        return Guarantee.LEDGER

    @property
    def location(self) -> str:
        return f"{self._file.shown}?table={self._table}"

    async def check(self) -> None:
        await asyncio.to_thread(self._check)

    async def load(self, batch: LoadBatch) -> LoadResult:
        return await asyncio.to_thread(self._load, batch)

    async def finalize(self, run_id: str, *, complete: bool) -> None:
        """Mode `replace` puts the run's rows in place of the old ones, in one transaction."""
        if self._mode == "replace" and complete:
            await asyncio.to_thread(self._swap, run_id)

    async def close(self) -> None:
        await asyncio.to_thread(self._file.close)

    def _check(self) -> None:
        see_that_it_can_be_written(self._file.path)
        columns: Mapping[str, str] = {}
        if self._file.path.exists():
            with closing(self._file.opened_to_read()) as db, self._file.trouble():
                columns = self._columns(db)
        if columns and (missing := [name for name in self._expected if name not in columns]):
            raise lacking(missing, self._table, list(columns))
        if not columns and not self._options.create_table:
            raise self._no_table()

    def _load(self, batch: LoadBatch) -> LoadResult:
        """One transaction: the ledger's row and the batch's rows. A batch that is in the ledger was loaded before."""
        with self._file.transaction(self._options.timeouts.transaction) as db:
            make_ledger(db)
            key = (batch.run_id, batch.batch_id)
            stored = db.execute("SELECT loaded, failed FROM loom_load_ledger WHERE run_id = ? AND batch_id = ?", key)
            if known := stored.fetchone():
                return stored_result(*known)
            result = self._write_new(db, batch)
            self._enter(db, *key, result)
        return result

    def _write_new(self, db: sqlite3.Connection, batch: LoadBatch) -> LoadResult:
        """Write the rows of records that are not loaded yet. What a replay loads is entered by record."""
        if batch.origin is None:
            return self._write(db, batch) if batch.rows else LoadResult(0)
        rest, threads = left_out(batch, loaded_threads(db, batch.origin, list(batch.threads)))
        written = self._write(db, rest) if rest.rows else LoadResult(0)
        failed = threads_of(rest, written.failed)
        if batch.is_of_a_replay:
            for thread in threads:
                if thread not in failed:
                    self._enter(db, batch.origin, thread, LoadResult(1))
        return LoadResult(len(batch.rows) - len(written.failed), written.failed)

    def _write(self, db: sqlite3.Connection, batch: LoadBatch) -> LoadResult:
        columns = self._columns(db)
        if not columns:
            if not self._options.create_table:
                raise self._no_table()
            wanted = list(dict.fromkeys([*self._key, *columns_of(batch.rows)]))
            make_table(db, self._table, kinds(self._schema, wanted, batch.rows), self._key)
            columns = self._columns(db)
        if missing := unknown_everywhere(batch.rows, list(columns)):
            raise lacking(missing, self._table, list(columns))
        table = self._table
        if self._mode == "replace":
            table = staging_name(table, batch.run_id)
            make_staging(db, table, self._table)
        rows, failed = sorted_out(batch.rows, list(columns), self._key)
        failed += write(db, table, columns, rows, self._key)
        return result_of(batch.rows, failed)

    def _swap(self, run_id: str) -> None:
        staging = staging_name(self._table, run_id)
        with self._file.transaction(self._options.timeouts.finalize) as db:
            make_ledger(db)
            key = (run_id, "finalize")
            if db.execute("SELECT 1 FROM loom_load_ledger WHERE run_id = ? AND batch_id = ?", key).fetchone():
                return
            if columns_of_table(db, self._table):
                db.execute(f"DELETE FROM {quoted(self._table)}")
            elif self._options.create_table and self._expected:
                make_table(db, self._table, kinds(self._schema, self._expected), ())
            if columns_of_table(db, staging):
                copy_rows(db, staging, self._table)
                db.execute(f"DROP TABLE {quoted(staging)}")
            self._enter(db, *key, LoadResult(0))

    def _enter(self, db: sqlite3.Connection, run_id: str, batch_id: str, result: LoadResult) -> None:
        db.execute(
            "INSERT INTO loom_load_ledger (run_id, batch_id, loaded, failed) VALUES (?, ?, ?, ?)",
            (run_id, batch_id, result.loaded, failed_as_json(result.failed)),
        )

    def _columns(self, db: sqlite3.Connection) -> dict[str, str]:
        columns = columns_of_table(db, self._table)
        if columns and self._key and not any(set(each) == set(self._key) for each in unique_keys(db, self._table)):
            names = ", ".join(map(quoted, self._key))
            raise DestinationError(
                f"Mode upsert needs a unique index on exactly ({', '.join(self._key)}), which the table {self._table} "
                f"has not: CREATE UNIQUE INDEX {quoted(f'{self._table}_key')} ON {quoted(self._table)} ({names})."
            )
        return columns

    def _no_table(self) -> DestinationError:
        return DestinationError(
            f"{self._file.shown} has no table {self._table}. Make it, or let Loom: `options: {{create_table: true}}`."
        )


def open_source(config: ExtractConfig, surroundings: Surroundings) -> SqliteSource:
    """A `sqlite://` query or table. Raises `ConfigurationError`."""
    return SqliteSource(config, surroundings)


def open_destination(config: LoadConfig, surroundings: Surroundings) -> SqliteDestination:
    """A `sqlite://` table. Raises `ConfigurationError`."""
    return SqliteDestination(config, surroundings)
