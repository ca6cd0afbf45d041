"""Reads the values of MySQL's columns from the text form in which the server sends them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from pymysql.constants import FIELD_TYPE, FLAG

from loom_common.domain.json_values.exact_json import UnfitJson, loads
from loom_connectors.mysql.statements import quoted
from loom_connectors.sql.reading.mark import Compared, MarkColumn
from loom_connectors.sql.reading.source_dialect import ReadColumn
from loom_connectors.values import as_object, shortest_single

_WHOLE = {
    *(FIELD_TYPE.TINY, FIELD_TYPE.SHORT, FIELD_TYPE.INT24, FIELD_TYPE.LONG, FIELD_TYPE.LONGLONG, FIELD_TYPE.YEAR),
}
_BINARY = 63
"""The character set of bytes."""
_NO_DAY = re.compile(r"\d{4}-(?:00|\d\d-00)")

_COMPARED = {
    "SIGNED": (Compared.WHOLE, "SIGNED"),
    "UNSIGNED": (Compared.WHOLE, "SIGNED"),
    "DECIMAL": (Compared.DECIMAL, "DECIMAL(65,30)"),
    **dict.fromkeys(("FLOAT", "DOUBLE"), (Compared.FLOAT, "DOUBLE")),
    "DATE": (Compared.DAY, ""),
    "DATETIME": (Compared.CLOCK, ""),
    "TIMESTAMP": (Compared.UTC_CLOCK, ""),
}
"""Says by type how a mark is compared with a column, and the type of the bound; none where that is the text of a
time."""


def read_column(field: Any, *, is_json: bool = False) -> ReadColumn:
    """Return how a column of a query is read; `field` is the driver's description of it. `is_json` where it is a text
    that the table checks to be JSON, as MariaDB has it."""
    name, code = str(field.name), field.type_code
    if code == FIELD_TYPE.FLOAT:
        return ReadColumn(name, "FLOAT", lambda sql: f"CAST({sql} AS DOUBLE)", _single)
    if code in _WHOLE:
        kind = "UNSIGNED" if field.flags & FLAG.UNSIGNED else "SIGNED"
        return ReadColumn(name, kind, _itself, int, whole=True)
    if field.flags & (FLAG.ENUM | FLAG.SET):
        return ReadColumn(name, "ENUM", _itself, None)
    if code == FIELD_TYPE.BIT:
        return ReadColumn(name, "BIT", _itself, _bits(field.length))
    if code == FIELD_TYPE.JSON or is_json:
        return ReadColumn(name, "JSON", _itself, _json)
    if code in _READERS:
        return ReadColumn(name, *_READERS[code])
    if code == FIELD_TYPE.GEOMETRY or field.charsetnr == _BINARY:
        return ReadColumn(name, "BINARY", _itself, as_object)
    return ReadColumn(name, "CHAR", _itself, None)


def mark_column(column: ReadColumn) -> MarkColumn | None:
    """Return how a mark is compared with a column; None for one whose values do not sort as numbers or times do."""
    if column.type not in _COMPARED:
        return None
    compared, bound = _COMPARED[column.type]
    return MarkColumn(
        quoted(column.name), compared, (lambda at: f"CAST({at} AS {bound})") if bound else (lambda at: at)
    )


def _itself(sql: str) -> str:
    return sql


def _single(text: str) -> float:
    return shortest_single(float(text))


def _json(text: str | bytes) -> Any:
    return loads(text.decode() if isinstance(text, bytes) else text)


def _bits(width: int) -> Callable[[bytes], str]:
    return lambda value: f"{int.from_bytes(value, 'big'):0{width}b}"


def _day(text: str) -> str:
    if _NO_DAY.match(text):
        raise UnfitJson(f"'{text}' is no day: it has no month, or no day of the month.", "zero_date")
    return _trimmed(text).replace(" ", "T", 1)


def _trimmed(text: str) -> str:
    """Return a time without the zeros at the end of its fraction of a second, which the column's precision adds."""
    return text.rstrip("0").rstrip(".") if "." in text else text


def _moment(text: str) -> str:
    return f"{_day(text)}+00:00"


_READERS: dict[int, tuple[str, Callable[[str], str], Callable[[Any], Any] | None]] = {
    FIELD_TYPE.DOUBLE: ("DOUBLE", _itself, float),
    FIELD_TYPE.DECIMAL: ("DECIMAL", _itself, None),
    FIELD_TYPE.NEWDECIMAL: ("DECIMAL", _itself, None),
    FIELD_TYPE.TIME: ("TIME", _itself, _trimmed),
    FIELD_TYPE.DATE: ("DATE", _itself, _day),
    FIELD_TYPE.NEWDATE: ("DATE", _itself, _day),
    FIELD_TYPE.DATETIME: ("DATETIME", _itself, _day),
    FIELD_TYPE.TIMESTAMP: ("TIMESTAMP", _itself, _moment),
}
