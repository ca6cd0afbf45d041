"""Adds columns to a MySQL table, and widens them. Such a statement commits, so it gets a connection of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from loom_common.errors import DependencyUnavailable, DestinationError
from loom_connectors.mysql.statements import quoted
from loom_connectors.mysql.tables import TYPES, Connection, asked, columns_of_table
from loom_connectors.sql.columns import Kind
from loom_connectors.sql.needs import Needs
from loom_connectors.sql.table_name import TableName

_BITS = {"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64}
_INTEGER = re.compile(r"(tinyint|smallint|mediumint|int|bigint)(?:\(\d+\))?( unsigned)?")
_DECIMAL = re.compile(r"decimal\((\d+),(\d+)\)")
_TEXTS = {"tinytext": 255, "text": 65_535, "mediumtext": 16_777_215}
_VARCHAR = re.compile(r"varchar\((\d+)\)")
_LONGEST_CHARACTER = 4
_MOST_DIGITS, _MOST_SCALE = 65, 30
_SECONDS = 30


def wider(declared: str, needs: Needs) -> str | None:
    """Return the type that takes what the column holds and these values, too; None where `declared` takes them, or no
    type takes both as they are."""
    if (found := _INTEGER.fullmatch(declared)) is not None and needs.numbers:
        bits, unsigned = _BITS[found[1]], found[2] is not None
        there = (0, 2**bits - 1) if unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        if needs.whole:
            if needs.within(*there):
                return None
            signed = needs.within_bits(64) and not (unsigned and bits == 64)
            return "bigint" if signed else "decimal(65,0)" if needs.before <= _MOST_DIGITS else None
        return "double" if needs.floating and bits <= 32 else None
    if (found := _DECIMAL.fullmatch(declared)) is not None and needs.numbers:
        precision, scale = int(found[1]), int(found[2])
        before, after = max(precision - scale, needs.before), max(scale, needs.after)
        fits = (before, after) == (precision - scale, scale)
        return (
            None
            if fits or before + after > _MOST_DIGITS or after > _MOST_SCALE
            else f"decimal({before + after},{after})"
        )
    if needs.texts:
        if (found := _VARCHAR.fullmatch(declared)) is not None:
            return "longtext" if needs.longest > int(found[1]) else None
        return "longtext" if needs.longest * _LONGEST_CHARACTER > _TEXTS.get(declared, needs.longest * 8) else None
    return None


def add_columns(connection: Connection, table: TableName, kinds: Mapping[str, Kind]) -> None:
    """Add the columns where they are missing. Names are compared without regard to case."""
    with alone(connection, table):
        there = {name.lower() for name in columns_of_table(connection, table)}
        new = {name: kind for name, kind in kinds.items() if name.lower() not in there}
        added = [f"ADD COLUMN {quoted(name)} {TYPES[kind]}" for name, kind in new.items()]
        if added:
            _alter(connection, table, added)


def widen(connection: Connection, table: TableName, needs: Mapping[str, Needs]) -> None:
    """Give each column that does not take its values a wider type. Raises `DestinationError` for a column that has a
    default or an index which a longer text cannot be part of."""
    with alone(connection, table):
        found = _widened(connection, table, needs)
        if found:
            _alter(connection, table, [_modified(connection, table, name, to) for name, to in found.items()])


def _widened(connection: Connection, table: TableName, needs: Mapping[str, Needs]) -> dict[str, str]:
    declared = columns_of_table(connection, table)
    found = {name: wider(declared[name], each) for name, each in needs.items() if name in declared}
    return {name: to for name, to in found.items() if to is not None}


def _modified(connection: Connection, table: TableName, name: str, to: str) -> str:
    ((nullable, default, extra, collation),) = asked(
        connection,
        "SELECT is_nullable = 'YES', column_default, extra, collation_name FROM information_schema.columns "
        "WHERE table_schema = coalesce(%s, database()) AND table_name = %s AND column_name = %s",
        table,
        name,
    )
    indexed = asked(
        connection,
        "SELECT 1 FROM information_schema.statistics "
        "WHERE table_schema = coalesce(%s, database()) AND table_name = %s AND column_name = %s",
        table,
        name,
    )
    if default not in (None, "NULL") or extra or (indexed and to == "longtext"):
        raise DestinationError(
            f"The column '{name}' of {table} should become {to} (`load.schema` evolves types), and it has a default or "
            "an index that Loom does not change. ALTER the table yourself, or choose `types: discard_row`."
        )
    collated = f" COLLATE {collation}" if collation and to == "longtext" else ""
    return f"MODIFY COLUMN {quoted(name)} {to}{collated} {'NULL' if nullable == '1' else 'NOT NULL'}"


def _alter(connection: Connection, table: TableName, changes: list[str]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET SESSION lock_wait_timeout = {_SECONDS}")
        try:
            cursor.execute(f"ALTER TABLE {table.quoted_by(quoted)} {', '.join(changes)}")
        finally:
            cursor.execute("SET SESSION lock_wait_timeout = DEFAULT")


@contextmanager
def alone(connection: Connection, table: TableName) -> Iterator[None]:
    """Let one loader at a time look at the table and alter it: while the server puts the altered table in its place, it
    shows no columns and no indexes to others."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT get_lock(left(concat('loom ', sha1(%s), database()), 64), %s)", (str(table), _SECONDS))
        if [str(each) for each in cursor.fetchone() or ()] != ["1"]:
            raise DependencyUnavailable(f"Another loader has been altering the table {table} for {_SECONDS} seconds.")
        try:
            yield
        finally:
            cursor.execute("SELECT release_lock(left(concat('loom ', sha1(%s), database()), 64))", (str(table),))
