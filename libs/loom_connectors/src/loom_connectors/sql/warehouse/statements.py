"""Writes the statements that warehouses have alike. It does no I/O."""

# ruff: noqa: S608  names are quoted, values are bound

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from loom_connectors.sql.columns import Kind
from loom_connectors.sql.dialect import Target
from loom_connectors.sql.needs import Needs
from loom_connectors.sql.table_name import TableName
from loom_connectors.values import json_text

Quote = Callable[[str], str]
"""Returns an identifier in the quotes that the warehouse writes around it."""
ORDER = "loom_order"
"""The column of the rows of a statement that says which of two with one key comes later."""


def name_list(names: Sequence[str], quoted: Quote, prefix: str = "") -> str:
    """Write identifiers, quoted, with commas between."""
    return ", ".join(prefix + quoted(name) for name in names)


def compared(columns: Sequence[str], comparison: str, values: Sequence[str]) -> str:
    """Return the condition that a key of several columns is `>=` or `<` another, column by column: warehouses compare
    rows only for being equal."""
    column, value = columns[0], values[0]
    if len(columns) == 1:
        return f"{column} {comparison} {value}"
    rest = compared(columns[1:], comparison, values[1:])
    return f"({column} {comparison[0]} {value} OR ({column} = {value} AND {rest}))"


def json_lists(rows: Iterable[Sequence[str | None]], most: int) -> Iterator[str]:
    """Yield rows as JSON lists of at most so many characters. A row that is longer is a list of its own."""
    part: list[str] = []
    size = 0
    for row in rows:
        text = json_text(row)
        if part and size + len(text) > most:
            yield f"[{','.join(part)}]"
            part, size = [], 0
        part.append(text)
        size += len(text)
    if part:
        yield f"[{','.join(part)}]"


def merge_sql(target: Target, columns: Sequence[str], rows: str, quoted: Quote) -> str:
    """Return the statement that updates the rows whose key is there, and inserts the others. `rows` is the query of
    them, which has each key once."""
    table, names = target.table.quoted_by(quoted), name_list(columns, quoted)
    same = " AND ".join(f"t.{quoted(name)} = s.{quoted(name)}" for name in target.key)
    changed = ", ".join(f"{quoted(name)} = s.{quoted(name)}" for name in columns if name not in target.key)
    update = f"WHEN MATCHED THEN UPDATE SET {changed} " if changed else ""
    return (
        f"MERGE INTO {table} AS t USING ({rows}) AS s ON {same} "
        f"{update}WHEN NOT MATCHED THEN INSERT ({names}) VALUES ({name_list(columns, quoted, 's.')})"
    )


def copy_sql(source: TableName, target: TableName, columns: Sequence[str], quoted: Quote) -> str:
    """Return the statement that inserts all rows of one table into another."""
    names = name_list(columns, quoted)
    return f"INSERT INTO {target.quoted_by(quoted)} ({names}) SELECT {names} FROM {source.quoted_by(quoted)}"


def like_sql(staging: TableName, table: TableName, quoted: Quote) -> str:
    """Return the statement that creates an empty table like `table`, where it is missing."""
    return f"CREATE TABLE IF NOT EXISTS {staging.quoted_by(quoted)} LIKE {table.quoted_by(quoted)}"


def adding(table: TableName, kinds: Mapping[str, Kind], types: Mapping[Kind, str], quoted: Quote) -> Iterator[str]:
    """Yield the statements that add the columns where they are missing, each with the type of its kind."""
    for name, kind in kinds.items():
        yield f"ALTER TABLE {table.quoted_by(quoted)} ADD COLUMN IF NOT EXISTS {quoted(name)} {types[kind]}"


def widening(
    table: TableName,
    declared: Mapping[str, str],
    needs: Mapping[str, Needs],
    wider: Callable[[str, Needs], str | None],
    quoted: Quote,
) -> Iterator[str]:
    """Yield the statements that give each column which does not take its values the type that `wider` names."""
    for name, each in needs.items():
        if name in declared and (to := wider(declared[name], each)) is not None:
            yield f"ALTER TABLE {table.quoted_by(quoted)} ALTER COLUMN {quoted(name)} SET DATA TYPE {to}"
