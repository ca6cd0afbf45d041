"""Reads the values of Snowflake's columns: what JSON says exactly becomes that, the rest the text that Snowflake reads
back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from snowflake.connector.cursor import ResultMetadata

from loom_common.domain.json_values.exact_json import loads
from loom_connectors.snowflake.statements import quoted, turned
from loom_connectors.sql.reading.mark import Compared, MarkColumn
from loom_connectors.sql.reading.source_dialect import ReadColumn
from loom_connectors.sql.warehouse.reading import itself, moment, number, unfit
from loom_connectors.values import as_object

_NAMES = (
    *("NUMBER", "FLOAT", "VARCHAR", "DATE", "TIMESTAMP_NTZ", "VARIANT", "TIMESTAMP_LTZ", "TIMESTAMP_TZ"),
    *("TIMESTAMP_NTZ", "OBJECT", "ARRAY", "BINARY", "TIME", "BOOLEAN", "GEOGRAPHY", "GEOMETRY", "VECTOR"),
)
"""Holds the types by the numbers that the driver gives them."""
_DAY = "YYYY-MM-DD"
_TIME = "HH24:MI:SS.FF9"
_FORMATS = {
    "DATE": _DAY,
    "TIME": _TIME,
    "TIMESTAMP_NTZ": f'{_DAY}"T"{_TIME}',
    "TIMESTAMP_LTZ": f'{_DAY}"T"{_TIME}TZH:TZM',
    "TIMESTAMP_TZ": f'{_DAY}"T"{_TIME}TZH:TZM',
}
NESTED = ("VARIANT", "OBJECT", "ARRAY")
_WHOLE = "NUMBER(38,0)"
_COMPARED = {
    _WHOLE: Compared.WHOLE,
    "FLOAT": Compared.FLOAT,
    "DATE": Compared.DAY,
    "TIMESTAMP_NTZ": Compared.CLOCK,
    "TIMESTAMP_LTZ": Compared.MOMENT,
    "TIMESTAMP_TZ": Compared.MOMENT,
}
"""Says by type how a mark is compared with a column. Numbers with digits after the point are compared as floating-point
numbers, because a bound of any size is one."""


def read_column(column: ResultMetadata) -> ReadColumn:
    """Return how a column of a query is read."""
    kind = _NAMES[column.type_code] if column.type_code < len(_NAMES) else "a kind that Loom does not know"
    name = turned(str(column.name))
    if kind == "NUMBER":
        whole = not column.scale
        read = int if whole else None
        return ReadColumn(name, f"NUMBER(38,{column.scale or 0})", itself if whole else text_of, read, whole=whole)
    if kind in _FORMATS:
        return ReadColumn(name, kind, formatted(kind), _day if kind == "DATE" else moment)
    if kind in NESTED:
        return ReadColumn(name, kind, lambda sql: f"TO_JSON({sql})", loads)
    return ReadColumn(name, kind, itself, _READERS[kind] if kind in _READERS else unfit(kind))


def mark_column(column: ReadColumn) -> MarkColumn | None:
    """Return how a mark is compared with a column; None for one whose values do not sort as numbers or times do."""
    kind = "FLOAT" if column.type.startswith("NUMBER") and column.type != _WHOLE else column.type
    if kind not in _COMPARED:
        return None
    return MarkColumn(quoted(column.name), _COMPARED[kind], lambda marker: f"CAST({marker} AS {kind})")


def formatted(kind: str) -> Callable[[str], str]:
    """Return how SQL for the text of a day, a time or a moment is written."""
    return lambda sql: f"TO_VARCHAR({sql}, '{_FORMATS[kind]}')"


def is_formatted(kind: str) -> bool:
    """Tell whether a type is of days, times or moments."""
    return kind in _FORMATS


def text_of(sql: str) -> str:
    """Return SQL for a value as text."""
    return f"CAST({sql} AS VARCHAR)"


def _day(text: str) -> str:
    return text[:10]


_READERS: dict[str, Callable[[Any], Any] | None] = {
    "FLOAT": number,
    "VARCHAR": None,
    "BOOLEAN": bool,
    "BINARY": lambda value: as_object(bytes(value)),
}
