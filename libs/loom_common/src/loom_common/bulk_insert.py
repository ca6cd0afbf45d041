"""Inserts many rows by a statement that is compiled once, and whose values go to the driver as they are.

SQLAlchemy looks a compiled statement up for each execution, and makes a dict of parameters for each row. With the
answers in a journal or the scores of a batch, that takes longer than the insert does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import Dialect, Insert

Convert = Callable[[Any], Any]


class _Prepared(NamedTuple):
    """Holds a statement as it is written for one dialect."""

    sql: str
    values_of: Callable[[Mapping[str, Any]], tuple[Any, ...]]
    """Returns the values of a row in the order of the statement's parameters."""
    converted: Sequence[tuple[int, Convert]]
    """The places of values that the driver does not take as they are, and what it takes."""


class BulkInsert:
    """Inserts rows that all have the same columns. What the statement does where a row stands already is its own."""

    def __init__(self, statement: Insert, columns: Sequence[str]) -> None:
        """Take a `statement` without rows, and the names of the columns that each row has: two at least."""
        self._statement = statement
        self._columns = tuple(columns)
        self._prepared: dict[tuple[type[Dialect], Any], _Prepared] = {}

    def sql(self, dialect: Dialect) -> str:
        """Return the statement as the driver of that dialect takes it."""
        return self._of(dialect).sql

    def values(self, dialect: Dialect, rows: Sequence[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
        """Return the values of rows as the driver of that dialect takes them."""
        _, values_of, converted = self._of(dialect)
        if not converted:
            return list(map(values_of, rows))
        found = []
        known: dict[tuple[int, int], tuple[Any, Any]] = {}  # rows share values, such as the time and null
        for row in rows:
            values = list(values_of(row))
            for place, convert in converted:
                value = values[place]
                same = (place, id(value))
                if same not in known:
                    known[same] = (value, convert(value))  # the value is held, so that no other gets its id
                values[place] = known[same][1]
            found.append(tuple(values))
        return found

    def _of(self, dialect: Dialect) -> _Prepared:
        key = (type(dialect), dialect.server_version_info)
        prepared = self._prepared.get(key)
        if prepared is None:
            prepared = self._prepared[key] = self._prepare(dialect)
        return prepared

    def _prepare(self, dialect: Dialect) -> _Prepared:
        compiled = self._statement.compile(dialect=dialect, column_keys=list(self._columns))
        order: Sequence[str] = getattr(compiled, "positiontup", None) or ()
        if sorted(order) != sorted(self._columns):
            raise ValueError(f"The parameters {sorted(order)} are not the columns {sorted(self._columns)}.")
        columns = self._statement.table.c
        converters = [columns[name].type.dialect_impl(dialect).bind_processor(dialect) for name in order]
        converted = [(place, convert) for place, convert in enumerate(converters) if convert is not None]
        return _Prepared(str(compiled), itemgetter(*order), converted)
