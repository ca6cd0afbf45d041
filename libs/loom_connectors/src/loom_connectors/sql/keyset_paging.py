"""Reads a query in pages by key, without OFFSET: `WHERE key >= last ORDER BY key LIMIT n`.

Equal keys are told apart by the text of their rows, and the cursor says how many rows of its key were given, so
none is lost at a page's edge. Rows whose key is NULL, which no comparison finds, come after all others, by
their text. Pure: the databases' differences are in `Dialect`."""

# ruff: noqa: S608  names are quoted, values are bound
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import md5
from typing import Any

from loom_common.errors import ConfigurationError
from loom_connectors.options import closest

ROW = "loom_row"
"""Says what a row of the query is called in a page's SQL: a name no column is likely to have."""
ROW_TEXT = "loom_row_text"
"""The extra column of pages of NULL keys."""


def compared_as_rows(columns: Sequence[str], comparison: str, values: Sequence[str]) -> str:
    """Return the comparison of the values of two rows, in their order, as standard SQL has it."""
    return f"({', '.join(columns)}) {comparison} ({', '.join(values)})"


def limited_to(rows: int) -> str:
    """Return the end of a query that gives so many rows at most, as most databases have it."""
    return f"LIMIT {rows}"


@dataclass(frozen=True, slots=True)
class Dialect:
    """Says how a database writes what a page needs."""

    row_text: str
    """SQL for a whole row of the query, called `ROW`, as text that sorts by bytes; empty where no two rows have one
    key."""
    key: Callable[[str], str]
    """SQL for a key column of `ROW`."""
    value: Callable[[int, str], str]
    """SQL for the cursor's n-th value (from 1, after the query's own), comparable to a key column; "" for row text."""
    compared: Callable[[Sequence[str], str, Sequence[str]], str] = compared_as_rows
    """SQL for the comparison, `>=` or `<`, of key columns with the values of a cursor."""
    limited: Callable[[int], str] = limited_to
    """SQL for the end of an ordered query that gives so many rows at most."""


@dataclass(frozen=True, slots=True)
class KeyCursor:
    """Says where the next page begins."""

    nulls: bool = False
    """Tells whether all rows with a key were given."""
    last: tuple[Any, ...] | None = None
    """Holds the key of the last row given, as JSON values; the row's text for NULL keys. At the start of a piece, the
    value of the first key column at which it begins."""
    given: int = 0
    """Says how many rows with that key were given."""

    @staticmethod
    def of(value: Any) -> KeyCursor:
        """Read the cursor from the JSON that `json` made; None is the start."""
        return KeyCursor() if value is None else KeyCursor(value["nulls"], _tuple(value["last"]), value["given"])

    @property
    def json(self) -> dict[str, Any]:
        return {"nulls": self.nulls, "last": None if self.last is None else list(self.last), "given": self.given}


def _tuple(values: list[Any] | None) -> tuple[Any, ...] | None:
    return None if values is None else tuple(values)


def page_sql(
    query: str,
    keys: Sequence[str],
    cursor: KeyCursor,
    limit: int,
    dialect: Dialect,
    bound_before: int,
    until: KeyCursor | None = None,
) -> str:
    """Return the SQL of the page at `cursor`. It gives up to `cursor.given` rows more than `limit`, to be left out, and
    ends before the piece that begins at `until`. Bound are the query's values, those of `cursor.last`, and those of
    `until.last`."""
    if cursor.nulls:
        return _nulls_sql(query, keys, cursor, limit, dialect, bound_before)
    columns = [dialect.key(key) for key in keys]
    # Not IS NOT NULL: a composite value of which one field is NULL is neither, and must come in one of the phases.
    conditions = [f"NOT ({column} IS NULL)" for column in columns]
    for comparison, place in ((">=", cursor), ("<", until)):
        if place is not None and place.last is not None:
            compared = keys[: len(place.last)]
            values = [dialect.value(bound_before + at, key) for at, key in enumerate(compared, 1)]
            conditions.append(dialect.compared(columns[: len(compared)], comparison, values))
            bound_before += len(compared)
    order = ", ".join([*columns, *([dialect.row_text] if dialect.row_text else [])])
    return _sql(f"{ROW}.*", query, " AND ".join(conditions), order, dialect.limited(limit + cursor.given))


def _nulls_sql(
    query: str, keys: Sequence[str], cursor: KeyCursor, limit: int, dialect: Dialect, bound_before: int
) -> str:
    where = f"({' OR '.join(f'{dialect.key(key)} IS NULL' for key in keys)})"
    if cursor.last is not None:
        where += f" AND {dialect.row_text} >= {dialect.value(bound_before + 1, '')}"
    columns = f"{ROW}.*, {dialect.row_text} AS {ROW_TEXT}"
    return _sql(columns, query, where, dialect.row_text, dialect.limited(limit + cursor.given))


def _sql(columns: str, query: str, where: str, order: str, limited: str) -> str:
    # The line break ends a comment on the query's last line.
    return f"SELECT {columns} FROM (\n{query}\n) AS {ROW} WHERE {where} ORDER BY {order} {limited}"


def advance(cursor: KeyCursor, keys: Sequence[tuple[Any, ...]], limit: int) -> tuple[KeyCursor, bool]:
    """Return the cursor after a page whose rows, those to be left out included, had `keys`; and whether the phase is
    over.

    `keys` are compared as they are; the new cursor's `last` is one of them."""
    over = len(keys) < limit + cursor.given
    if not keys:
        return cursor, over
    given = 0
    for key in reversed(keys):
        if key != keys[-1]:
            break
        given += 1
    return KeyCursor(cursor.nulls, keys[-1], given), over


def ordinals(keys: Sequence[tuple[Any, ...]]) -> list[int]:
    """For each row, the how-many-th of its key it is. A page always begins with the first of a key."""
    counted: list[int] = []
    for at, key in enumerate(keys):
        counted.append(counted[-1] + 1 if at and key == keys[at - 1] else 1)
    return counted


def place(keys: Sequence[str], data: Mapping[str, Any], ordinal: int, row_text: str | None = None) -> str:
    """Tell where a row of a page stands: at `id=42`, the second row of a key at `id=42 #2`, told apart by their text
    where the key is NULL."""
    where = ", ".join(f"{key}={'NULL' if data[key] is None else data[key]}" for key in keys)
    if row_text is not None:
        where += f" ~{md5(row_text.encode(), usedforsecurity=False).hexdigest()[:8]}"
    return where if ordinal == 1 else f"{where} #{ordinal}"


def see_columns(columns: Sequence[str], keys: Sequence[str], place: str) -> None:
    """Raise `ConfigurationError` for two columns of one name, and for a key that is no column."""
    if twice := next((name for at, name in enumerate(columns) if name in columns[:at]), None):
        raise ConfigurationError(
            f"extract.query: two columns are called '{twice}'. Give one another name: AS other_{twice}."
        )
    if missing := [key for key in keys if key not in columns]:
        near = closest(missing[0], list(columns))
        hint = f" Did you mean '{near}'?" if near else ""
        raise ConfigurationError(
            f"extract.key: {place} has no column '{missing[0]}'; its columns are {', '.join(columns)}.{hint} "
            "Name one of them, or select the key."
        )


def see_query_or_table(query: str | None, table: object, place: str) -> None:
    """Raise `ConfigurationError` unless there is one of the two."""
    if (query is None) == (table is None):
        raise ConfigurationError(
            f"extract: {place} needs either a `query` or a table (`?table=name` at the end of `source`), not both and "
            "not neither."
        )


def no_order(what: str) -> ConfigurationError:
    """What has no key and no order of its own cannot be read in pages."""
    return ConfigurationError(
        f"extract.key: found nothing; expected the column (or columns) that order the rows. {what} has no order of its "
        "own, so without a key it cannot be read in pages: add extract.key."
    )
