"""Implements a query or a table of a SQL system as a `Source`, read in pages by key.

How a system does this, its `SourceDialect` says. Whether two keys are equal, the database decides."""

# ruff: noqa: S608  names are quoted, values are bound
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.run.piece import Piece
from loom_common.domain.values.fields import Fields
from loom_common.errors import RecordError, Timeout
from loom_connectors.pieces import pieces_between
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.source import Page, ReadRecord
from loom_connectors.sql import keyset_paging
from loom_connectors.sql.key_pieces import between, starting_at, worth
from loom_connectors.sql.keyset_paging import Dialect, KeyCursor
from loom_connectors.sql.parameters import SqlSourceOptions, bound
from loom_connectors.sql.reading.mark import MarkColumn, Narrowing
from loom_connectors.sql.reading.source_dialect import Order, ReadColumn, SourceDialect, SourceSession
from loom_connectors.sql.table_name import TableName

_NUMBER = "loom_number"
"""The column of a row's number, where the rows of a table have no other order."""
_RANK = "loom_rank"
"""The column that says which rows of a page have equal keys, as the database compares them."""


@dataclass(frozen=True, slots=True)
class _Shape:
    """Says what a query returns, and how its rows are ordered."""

    query: str
    values: Sequence[Any]
    """Holds what is bound in the query."""
    columns: Mapping[str, ReadColumn]
    keys: tuple[str, ...]
    numbered: bool
    """Tells whether the key is the row's number, which is no field of the record."""
    unique: bool
    """Tells whether no two rows have the same key."""

    @property
    def fields(self) -> list[ReadColumn]:
        return [each for name, each in self.columns.items() if not (self.numbered and name == _NUMBER)]


class QuerySource:
    """Reads a query or a table."""

    def __init__(
        self,
        config: ExtractConfig,
        context: ConnectorContext,
        options: SqlSourceOptions,
        dialect: SourceDialect,
        table: TableName | None,
    ) -> None:
        """Take the `table` that the location names. Raises `ConfigurationError` unless there is either it or a
        query."""
        self._dialect = dialect
        self._timeouts = options.timeouts
        self._keys = config.keys
        self._narrowing = Narrowing(config.incremental, context.start)
        self._table = table
        self._values: list[Any] = []
        self._shape: _Shape | None = None
        keyset_paging.see_query_or_table(config.query, table, dialect.shown)
        if table is not None:
            self._query = f"SELECT * FROM {self._sql(table)}"
        else:
            written = config.query or ""
            bound(written, context.params, dialect.marker)  # its mistakes are shown as the user wrote them
            self._query, self._values = bound(dialect.written(written), context.params, dialect.marker)

    async def check(self) -> None:
        await self._dialect.read(self._seen, self._timeouts.query)

    async def count(self) -> int | None:
        async def counted(session: SourceSession) -> int:
            sql = f"SELECT count(*) FROM (\n{self._query}\n) AS {keyset_paging.ROW}"
            ((count,),) = await session.fetch(sql, self._values)
            return int(count)

        try:
            return await self._dialect.read(counted, self._timeouts.count)
        except Timeout:
            return None

    async def fields(self) -> Fields | None:
        async def names(session: SourceSession) -> Fields:
            columns = await session.columns(self._query, self._values)
            return Fields(tuple(each.name for each in columns), certain=True)

        return await self._dialect.read(names, self._timeouts.query)

    async def starts_by(self) -> str | None:
        async def words(session: SourceSession) -> str | None:
            return self._narrowing.words(self._mark_column(await session.columns(self._query, self._values)))

        return await self._dialect.read(words, self._timeouts.query)

    async def split(self, parts: int | None) -> Sequence[Piece]:
        """Split by the first column of the key, where that holds whole numbers."""
        try:
            return await self._dialect.read(partial(self._pieces, parts=parts), self._timeouts.count)
        except Timeout:
            return [Piece()]

    async def read(self, cursor: Any, limit: int, until: Any = None) -> Page:
        end = None if until is None else KeyCursor.of(until)
        work = partial(self._page, cursor=KeyCursor.of(cursor), limit=limit, until=end)
        return await self._dialect.read(work, self._timeouts.query)

    async def close(self) -> None:
        await self._dialect.close()

    async def _pieces(self, session: SourceSession, parts: int | None) -> Sequence[Piece]:
        shape = await self._seen(session)
        key = shape.columns[shape.keys[0]]
        if not key.whole:
            return [Piece()]
        column = self._column(key.name)
        sql = f"SELECT min({column}), max({column}), count(*) FROM (\n{shape.query}\n) AS {keyset_paging.ROW}"
        ((low, high, count),) = await session.fetch(sql, shape.values)
        if low is None:
            return [Piece()]
        starts = between(int(low), int(high), worth(int(count)) if parts is None else parts)
        return pieces_between(starting_at([str(each) for each in starts]), whole_keys=not shape.numbered)

    async def _page(self, session: SourceSession, cursor: KeyCursor, limit: int, until: KeyCursor | None) -> Page:
        shape = await self._seen(session)
        fields = shape.fields
        records: list[ReadRecord] = []
        while True:
            room = limit - len(records)
            edges = [*(cursor.last or ()), *(until.last or () if until else ())]
            rows = await session.fetch(self._page_sql(shape, cursor, room, until), [*shape.values, *edges])
            ranks = [(row[-1],) for row in rows]
            places = zip(rows, keyset_paging.ordinals(ranks), strict=True)
            for row, ordinal in list(places)[cursor.given :]:
                place = self._place(shape, row[len(fields) : -1], ordinal, nulls=cursor.nulls)
                records.append(self._record(fields, row, place))
            at, over = keyset_paging.advance(cursor, ranks, room)
            if rows:
                last = rows[-1][-2:-1] if cursor.nulls else rows[-1][len(fields) : -1]
                at = replace(at, last=tuple(last))
            if not over or cursor.nulls or until is not None:
                return Page(records, at.json, end=over)
            cursor = KeyCursor(nulls=True)

    def _page_sql(self, shape: _Shape, cursor: KeyCursor, room: int, until: KeyCursor | None) -> str:
        """Return the SQL of a page: the fields, the keys as a cursor holds them, in the NULL phase the row's text, and
        the rank."""
        row, rows = keyset_paging.ROW, self._rows(shape, nulls=cursor.nulls)
        page = keyset_paging.page_sql(shape.query, shape.keys, cursor, room, rows, len(shape.values), until)
        fields = [each.form(self._column(each.name)) for each in shape.fields]
        keys = [self._dialect.key_form(shape.columns[key], self._column(key)) for key in shape.keys]
        order = [rows.key(key) for key in shape.keys]
        within = [*order, *([rows.row_text] if rows.row_text else [])]
        if cursor.nulls:
            order = within = [f"{row}.{keyset_paging.ROW_TEXT}"]
            keys += order
        rank = f"dense_rank() OVER (ORDER BY {', '.join(order)}) AS {_RANK}"
        return f"SELECT {', '.join([*fields, *keys, rank])} FROM (\n{page}\n) AS {row} ORDER BY {', '.join(within)}"

    def _rows(self, shape: _Shape, *, nulls: bool) -> Dialect:
        def value(number: int, name: str) -> str:
            marker = self._dialect.marker(number)
            return self._dialect.key_value(shape.columns[name], marker) if name else marker

        text = self._dialect.row_text(keyset_paging.ROW, list(shape.columns))
        return Dialect(
            row_text="" if shape.unique and not nulls else text,
            key=lambda name: self._dialect.key(shape.columns[name], self._column(name)),
            value=value,
            compared=self._dialect.compared,
            limited=self._dialect.limited,
        )

    def _place(self, shape: _Shape, keys: Sequence[Any], ordinal: int, *, nulls: bool) -> str:
        if shape.numbered:
            return f"row {keys[0]}"
        shown = dict(zip(shape.keys, keys, strict=False))
        return keyset_paging.place(shape.keys, shown, ordinal, str(keys[-1]) if nulls else None)

    def _record(self, fields: Sequence[ReadColumn], row: Sequence[Any], place: str) -> ReadRecord:
        """Return a row's values by column, and what is wrong with the first that cannot be used: it keeps its text."""
        data: dict[str, Any] = {}
        fault = None
        for column, value in zip(fields, row, strict=False):
            data[column.name] = value
            if value is None or column.read is None:
                continue
            try:
                data[column.name] = column.read(value)
            except ValueError as error:
                data[column.name] = value if isinstance(value, str) else str(value)
                code = str(getattr(error, "code", "type"))
                words = f"{self._dialect.shown} {self._what}, {place}, column {column.name}: {error}"
                fault = fault or RecordError(words, code=code, details={"column": column.name})
        return ReadRecord(place, data, fault)

    @property
    def _what(self) -> str:
        return f"table {self._table}" if self._table else "query"

    async def _seen(self, session: SourceSession) -> _Shape:
        """Look at the columns and the order, once. Raises `ConfigurationError` for a key that is no column, and where
        the rows have no order."""
        if self._shape is not None:
            return self._shape
        query, keys, order = self._query, self._keys, None
        if not keys:
            order = await self._order(session)
            keys = order.columns
            if order.hidden is not None and self._table is not None:
                query = f"SELECT {order.hidden} AS {_NUMBER}, {keyset_paging.ROW}.* FROM {self._sql(self._table)} AS "
                query, keys = f"{query}{keyset_paging.ROW}", (_NUMBER,)
        columns = await session.columns(query, self._values)
        keyset_paging.see_columns([each.name for each in columns], keys, f"the {self._what}")
        unique = order is not None or (self._table is not None and await session.is_unique(self._table, keys))
        numbered = order is not None and order.hidden is not None
        marker = self._dialect.marker(len(self._values) + 1)
        query, values = self._narrowing.of(query, self._values, self._mark_column(columns), marker)
        self._shape = _Shape(query, values, {each.name: each for each in columns}, tuple(keys), numbered, unique)
        return self._shape

    def _mark_column(self, columns: Sequence[ReadColumn]) -> MarkColumn | None:
        config = self._narrowing.config
        found = next((each for each in columns if config is not None and each.name == config.column), None)
        return None if found is None else self._dialect.mark_column(found)

    async def _order(self, session: SourceSession) -> Order:
        if self._table is None:
            raise keyset_paging.no_order("A query")
        order = await session.order(self._table)
        if order is None:
            raise keyset_paging.no_order(f"The table {self._table}")
        return order

    def _column(self, name: str) -> str:
        return f"{keyset_paging.ROW}.{self._dialect.quoted(name)}"

    def _sql(self, table: TableName) -> str:
        return table.quoted_by(self._dialect.quoted)
