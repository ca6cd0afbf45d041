"""Looks records up in a SQL system: the keys of a batch in one statement, which binds them.

Whether two keys are equal, the database decides. Rows are given to keys here by their texts or numbers; where that
leaves a doubt, as with upper and lower case, the key is asked for alone, and every row that comes is its own."""

# ruff: noqa: S608  names are quoted, values are bound
from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any

from loom_common.errors import ConfigurationError, InvalidDefinition, LookupFailed, Problem, RecordError
from loom_connectors.options import closest
from loom_connectors.ports.lookup import SEVERAL, UNFIT_KEY, Found, Key, LookupRequest, Scalar
from loom_connectors.sql.keyset_paging import ROW
from loom_connectors.sql.parameters import bound, listed
from loom_connectors.sql.reading.lookup_dialect import LookupDialect, LookupSession
from loom_connectors.sql.reading.source_dialect import ReadColumn
from loom_connectors.sql.table_name import TableName

_AT_ONCE = 500
"""The most keys of a statement."""
_MORE = 16
"""The number of rows beyond one for each key that a statement returns before its keys are asked for in two halves."""
_NUMERIC = re.compile(r"int|num|dec|float|double|real|signed|serial|money", re.IGNORECASE)
_LARGEST = 2**63
Row = tuple[Mapping[str, Any] | RecordError, tuple[Any, ...]]
"""Holds what is wanted of a row, or why it cannot be used, and the values of its key."""


@dataclass(frozen=True, slots=True)
class _Shape:
    """Says what a query returns."""

    wanted: Mapping[str, ReadColumn]
    keys: tuple[ReadColumn, ...]


class SqlLookup:
    """Finds rows of a table or a query."""

    def __init__(
        self,
        request: LookupRequest,
        params: Mapping[str, Any],
        dialect: LookupDialect,
        table: TableName | None,
        seconds: float,
        bind: Callable[[ReadColumn, Scalar], Any] | None = None,
    ) -> None:
        """`bind` makes of a value of a key what is bound; by default its text. Raises `InvalidDefinition`."""
        self._request = request
        self._dialect = dialect
        self._seconds = seconds
        self._bind = bind or _text_for
        self._shape: _Shape | None = None
        self._values: list[Any] = []
        if (request.query is None) == (table is None):
            found = "both" if table is not None else "neither a table nor a query"
            expected = "a table (`?table=name` at the end of `source`) or a `query`, and not both"
            raise InvalidDefinition([Problem(("transform", "source"), found, expected)])
        if table is not None:
            self._query = f"SELECT * FROM {table.quoted_by(dialect.quoted)}"
            return
        written = request.query or ""
        try:
            bound(written, params, dialect.marker)  # its mistakes are shown as the user wrote them
            self._query, self._values = bound(dialect.written(written), params, dialect.marker)
        except InvalidDefinition as error:
            raise InvalidDefinition([replace(each, path=("transform", "query")) for each in error.problems]) from None

    @property
    def shown(self) -> str:
        return self._dialect.shown

    async def check(self) -> None:
        self._shape = None
        await self._dialect.read(self._seen, self._seconds)

    async def find(self, keys: Sequence[Key]) -> Sequence[Found]:
        found: list[Found] = []
        for at in range(0, len(keys), _AT_ONCE):
            found += await self._of(keys[at : at + _AT_ONCE])
        return found

    async def close(self) -> None:
        await self._dialect.close()

    async def _of(self, keys: Sequence[Key]) -> Sequence[Found]:
        """Return what is found for some keys. Where the statement fails with a column that cannot be compared with one
        of them, that key alone has the error."""
        try:
            return await self._dialect.read(partial(self._asked, keys=keys), self._seconds)
        except (LookupFailed, ConfigurationError) as error:
            await self.check()  # what is wrong with the table as a whole is wrong with no key
            if len(keys) == 1:
                words = f"{self.shown} cannot compare the record's key with {listed(self._request.columns)}"
                return [RecordError(f"{words}: {error}", code=UNFIT_KEY)]
            half = len(keys) // 2
            return [*await self._of(keys[:half]), *await self._of(keys[half:])]

    async def _asked(self, session: LookupSession, keys: Sequence[Key]) -> Sequence[Found]:
        shape = await self._seen(session)
        asked = [at for at, key in enumerate(keys) if _can_be_there(shape, key)]
        found: list[Found] = [None] * len(keys)
        rows = await self._rows(session, shape, [keys[at] for at in asked])
        given, doubtful = _given(rows, [keys[at] for at in asked], shape)
        for place, own in given.items():
            found[asked[place]] = self._one(own)
        for place in doubtful:
            alone = await self._rows(session, shape, [keys[asked[place]]])
            found[asked[place]] = self._one([row for row, _ in alone])
        return found

    def _one(self, rows: Sequence[Mapping[str, Any] | RecordError]) -> Found:
        if len(rows) < 2:
            return rows[0] if rows else None
        columns = listed(self._request.columns)
        words = f"{self.shown} has more than one row with the record's {columns}: look it up by what tells rows apart"
        return RecordError(words, code=SEVERAL)

    async def _rows(self, session: LookupSession, shape: _Shape, keys: Sequence[Key]) -> list[Row]:
        """Return the rows of these keys. Where there are many more than keys, they are asked for in halves, so that
        memory does not grow with a key that many rows have."""
        if not keys:
            return []
        most = len(keys) + _MORE
        bound_keys = (self._bind(*pair) for key in keys for pair in zip(shape.keys, key, strict=True))
        values = [*self._values, *bound_keys]
        rows = await session.fetch(self._sql(shape, len(keys), most), values)
        if len(rows) == most and len(keys) > 1:
            half = len(keys) // 2
            return [*await self._rows(session, shape, keys[:half]), *await self._rows(session, shape, keys[half:])]
        return [self._row(shape, row) for row in rows]

    def _sql(self, shape: _Shape, keys: int, most: int) -> str:
        number = len(self._values)
        compared: list[str] = []
        left = [self._dialect.key(each, self._column(each)) for each in shape.keys]
        for _ in range(keys):
            right = []
            for column in shape.keys:
                number += 1
                right.append(self._dialect.key_value(column, self._dialect.marker(number)))
            pairs = zip(left, right, strict=True)
            compared.append(right[0] if len(right) == 1 else f"({' AND '.join(f'{a} = {b}' for a, b in pairs)})")
        where = f"{left[0]} IN ({', '.join(compared)})" if len(left) == 1 else " OR ".join(compared)
        forms = [each.form(self._column(each)) for each in (*shape.wanted.values(), *shape.keys)]
        return (
            f"SELECT {', '.join(forms)} FROM (\n{self._query}\n) AS {ROW} WHERE {where} {self._dialect.limited(most)}"
        )

    def _row(self, shape: _Shape, row: Sequence[Any]) -> Row:
        wanted = len(shape.wanted)
        keys = tuple(_read(column, value) for column, value in zip(shape.keys, row[wanted:], strict=False))
        data: dict[str, Any] = {}
        for (name, column), value in zip(shape.wanted.items(), row, strict=False):
            data[name] = _read(column, value)
            if isinstance(error := data[name], ValueError):
                words = f"{self.shown}, column {column.name}: {error}"
                return RecordError(words, code=str(getattr(error, "code", "type"))), keys
        return data, keys

    async def _seen(self, session: LookupSession) -> _Shape:
        """Look at the columns, once. Raises `InvalidDefinition` for one that is not there."""
        if self._shape is None:
            columns = {each.name: each for each in await session.columns(self._query, self._values)}
            request = self._request
            problems = [
                *(_absent(("by",), name, columns) for name in request.columns if name not in columns),
                *(_absent(("fields",), name, columns) for name in request.wanted.values() if name not in columns),
            ]
            if problems:
                raise InvalidDefinition(problems)
            wanted = {name: columns[column] for name, column in request.wanted.items()}
            self._shape = _Shape(wanted, tuple(columns[name] for name in request.columns))
        return self._shape

    def _column(self, column: ReadColumn) -> str:
        return f"{ROW}.{self._dialect.quoted(column.name)}"


def text_of(value: Scalar) -> str:
    """Return a value of a key as text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _absent(path: tuple[str, ...], name: str, columns: Mapping[str, ReadColumn]) -> Problem:
    expected = f"a column of what is looked through: {listed(list(columns))}"
    return Problem(("transform", *path), f"'{name}'", expected, closest(name, list(columns)))


def _can_be_there(shape: _Shape, key: Key) -> bool:
    """Tell whether columns can hold the values of a key. Databases disagree on a number compared with `abc`."""
    for column, value in zip(shape.keys, key, strict=True):
        number = _number(value)
        if column.whole and (number is None or number != int(number) or not -_LARGEST <= number < _LARGEST):
            return False
        if number is None and _NUMERIC.search(column.type):
            return False
    return True


def _text_for(column: ReadColumn, value: Scalar) -> str:
    """Return a value of a key as the text that a column of its type reads: a whole number has no point."""
    number = _number(value) if column.whole else None
    return text_of(value) if number is None else str(int(number))


def _given(
    rows: Sequence[Row], keys: Sequence[Key], shape: _Shape
) -> tuple[dict[int, list[Mapping[str, Any] | RecordError]], list[int]]:
    """Return by the place of a key its rows, and the places of keys that rows may belong to which no key has as its
    text."""
    if len(keys) == 1:
        return {0: [row for row, _ in rows]}, []
    numeric = [_is_numeric(shape, rows, at) for at in range(len(shape.keys))]
    places: dict[tuple[Any, ...], list[int]] = {}
    for place, key in enumerate(keys):
        places.setdefault(tuple(_same(value, number) for value, number in zip(key, numeric, strict=True)), []).append(
            place
        )
    given: dict[int, list[Mapping[str, Any] | RecordError]] = {}
    stray: set[tuple[str, ...]] = set()
    for row, key in rows:
        same = tuple(_same(value, number) for value, number in zip(key, numeric, strict=True))
        for place in places.get(same, ()):
            given.setdefault(place, []).append(row)
        stray.add(_folded(same))
        if same not in places:
            stray.add(())
    left = [place for place in range(len(keys)) if place not in given]
    if () not in stray:
        folded = dict(_places_folded(places))
        left = [place for place in left if folded[place] in stray]
    return given, left


def _places_folded(places: Mapping[tuple[Any, ...], Sequence[int]]) -> Iterator[tuple[int, tuple[str, ...]]]:
    yield from ((place, _folded(same)) for same, own in places.items() for place in own)


def _is_numeric(shape: _Shape, rows: Sequence[Row], at: int) -> bool:
    column = shape.keys[at]
    if column.type:
        return column.whole or _NUMERIC.search(column.type) is not None
    return all(isinstance(key[at], int | float) and not isinstance(key[at], bool) for _, key in rows)


def _same(value: Any, numeric: bool) -> Any:  # noqa: FBT001 - one caller, for every value
    """Return what two values have in common that are the same key."""
    if numeric and (number := _number(value)) is not None:
        return number
    return text_of(value) if isinstance(value, str | int | float | bool) else str(value)


def _folded(same: tuple[Any, ...]) -> tuple[str, ...]:
    return tuple(str(each).rstrip().casefold() for each in same)


def _number(value: Any) -> Decimal | None:
    try:
        number = Decimal(value if isinstance(value, int) else str(value).strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _read(column: ReadColumn, value: Any) -> Any:
    """Return a fetched value as JSON; the error of one that cannot be used."""
    if value is None or column.read is None:
        return value
    try:
        return column.read(value)
    except ValueError as error:
        return error
