"""Reads the values of SQL Server's columns: what JSON says exactly becomes that, the rest the text that SQL Server
reads back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from loom_common.domain.json_values.exact_json import loads
from loom_connectors.mssql.statements import quoted
from loom_connectors.sql.reading.mark import Compared, MarkColumn
from loom_connectors.sql.reading.source_dialect import ReadColumn
from loom_connectors.sql.warehouse.reading import itself, moment, number, unfit
from loom_connectors.values import as_object, shortest_single

WHOLE = ("tinyint", "smallint", "int", "bigint")
DECIMALS = ("decimal", "numeric", "money", "smallmoney")
FLOATS = ("float", "real")
CLOCKS = ("datetime2", "datetime", "smalldatetime")
TIMES = (*CLOCKS, "date", "time", "datetimeoffset")
LONG = ("text", "ntext", "xml", "json")
"""Types that are neither ordered nor compared."""
TEXTS = ("char", "varchar", "nchar", "nvarchar", "sysname", *LONG)
BYTES = ("binary", "varbinary", "image", "timestamp", "rowversion")


def base_of(kind: str) -> str:
    """Return the name of a type without its limits: `decimal` of `decimal(38,0)`."""
    return kind.partition("(")[0]


def read_column(name: str, kind: str, *, is_json: bool = False) -> ReadColumn:
    """Return how a column of a query is read, by its type as SQL Server says it: `decimal(38,0)`. `is_json` where it is
    a text that the table checks to be JSON."""
    base = base_of(kind)
    if is_json or base == "json":
        return ReadColumn(name, "json", _wide, loads)
    if base in WHOLE:
        return ReadColumn(name, kind, itself, int, whole=True)
    if base in DECIMALS:
        return ReadColumn(name, kind, decimal_text, None)
    if base in TIMES:
        return ReadColumn(name, kind, time_text, moment_of)
    if base in TEXTS:
        return ReadColumn(name, kind, _wide, None)
    if base in BYTES:
        return ReadColumn(
            name, kind, lambda sql: f"CAST({sql} AS VARBINARY(MAX))", lambda value: as_object(bytes(value))
        )
    if base in _READERS:
        return ReadColumn(name, kind, *_READERS[base])
    return ReadColumn(name, kind, itself, unfit(kind))


def mark_column(column: ReadColumn) -> MarkColumn | None:
    """Return how a mark is compared with a column; None for one whose values do not sort as numbers or times do."""
    base = base_of(column.type)
    if base not in _COMPARED:
        return None
    compared, value = _COMPARED[base]
    return MarkColumn(quoted(column.name), compared, value.format)


def decimal_text(sql: str) -> str:
    """Return SQL for all digits of a number."""
    return f"CONVERT(NVARCHAR(60), {sql}, 2)"  # the style tells a MONEY to say its four digits after the point


def time_text(sql: str) -> str:
    """Return SQL for the text of a day, a time or a moment, with all digits of its fraction of a second."""
    return f"CONVERT(NVARCHAR(40), {sql}, 121)"


def moment_of(text: str) -> str:
    """Return a day, a time or a moment as SQL Server says it in the form of ISO 8601."""
    return moment(text.replace(" +", "+").replace(" -", "-"))


def _wide(sql: str) -> str:
    return f"CAST({sql} AS NVARCHAR(MAX))"


_READERS: dict[str, tuple[Callable[[str], str], Callable[[Any], Any] | None]] = {
    "bit": (itself, bool),
    "float": (itself, number),
    "real": (itself, shortest_single),
    "uniqueidentifier": (lambda sql: f"LOWER(CONVERT(NVARCHAR(36), {sql}))", None),
}
_CLOCK = "CAST({} AS DATETIME2(7))"
_COMPARED: dict[str, tuple[Compared, str]] = {
    **dict.fromkeys(WHOLE, (Compared.WHOLE, "CAST({} AS BIGINT)")),
    **dict.fromkeys((*DECIMALS, *FLOATS), (Compared.FLOAT, "CAST({} AS FLOAT)")),
    "date": (Compared.DAY, "CAST({} AS DATE)"),
    "datetime2": (Compared.CLOCK, _CLOCK),
    "datetime": (Compared.CLOCK, f"DATEADD(MILLISECOND, -4, CAST({_CLOCK} AS DATETIME))"),
    "smalldatetime": (Compared.CLOCK, f"DATEADD(MINUTE, -1, CAST({_CLOCK} AS SMALLDATETIME))"),
    "datetimeoffset": (Compared.MOMENT, "CAST({} AS DATETIMEOFFSET(7))"),
}
"""Says by type how a mark is compared with a column, and SQL for the bound. The old types of moments round to a third
hundredth of a second, or to a minute, so their bound lies below what it is rounded to."""
