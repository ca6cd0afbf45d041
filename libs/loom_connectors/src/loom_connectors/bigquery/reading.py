"""Reads the values of BigQuery's columns: what JSON says exactly becomes that, the rest the text that BigQuery reads
back."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from loom_common.domain.json_values.exact_json import UnfitJson, loads
from loom_connectors.bigquery.server import Column
from loom_connectors.bigquery.statements import quoted
from loom_connectors.sql.reading.mark import Compared, MarkColumn
from loom_connectors.sql.reading.source_dialect import ReadColumn
from loom_connectors.values import as_object

_TIMES = ("DATE", "TIME", "DATETIME", "TIMESTAMP")
_DECIMALS = ("NUMERIC", "BIGNUMERIC")
_COMPARED = {
    "INT64": Compared.WHOLE,
    "FLOAT64": Compared.FLOAT,
    "NUMERIC": Compared.FLOAT,
    "BIGNUMERIC": Compared.FLOAT,
    "DATE": Compared.DAY,
    "DATETIME": Compared.CLOCK,
    "TIMESTAMP": Compared.MOMENT,
}
"""Says by type how a mark is compared with a column."""
_ZEROS = re.compile(r"\.0+(?=\D|$)|(\.\d*?[1-9])0+(?=\D|$)")
_SHORT_OFFSET = re.compile(r"[+-]\d\d$")


def read_column(column: Column) -> ReadColumn:
    """Return how a column of a query is read."""
    kind = column.type.partition("(")[0]
    if kind in _TIMES:
        return ReadColumn(column.name, kind, as_text, _moment)
    if kind in _DECIMALS:
        return ReadColumn(column.name, kind, as_text, _decimal)
    if kind == "BYTES":
        return ReadColumn(column.name, kind, lambda sql: f"TO_HEX({sql})", lambda text: as_object(bytes.fromhex(text)))
    if kind == "JSON":
        return ReadColumn(column.name, kind, as_json, loads)
    if kind in ("STRING", "INT64", "BOOL"):
        return ReadColumn(column.name, kind, _itself, None, whole=kind == "INT64")
    if kind == "FLOAT64":
        return ReadColumn(column.name, kind, _itself, _number)
    return ReadColumn(column.name, kind, as_json, _unfit(kind))


def mark_column(column: ReadColumn) -> MarkColumn | None:
    """Return how a mark is compared with a column; None for one whose values do not sort as numbers or times do."""
    if column.type not in _COMPARED:
        return None
    kind = "FLOAT64" if column.type in _DECIMALS else column.type
    return MarkColumn(quoted(column.name), _COMPARED[column.type], lambda marker: f"CAST({marker} AS {kind})")


def as_text(sql: str) -> str:
    """Return SQL for a value as text."""
    return f"CAST({sql} AS STRING)"


def as_json(sql: str) -> str:
    """Return SQL for a value as JSON."""
    return f"TO_JSON_STRING({sql})"


def _itself(sql: str) -> str:
    return sql


def _number(value: float) -> float | str:
    """NaN and the infinities, which JSON lacks, become text."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _decimal(text: str) -> str:
    """Return a decimal number without zeros at its end."""
    return text.rstrip("0").rstrip(".") if "." in text else text


def _moment(text: str) -> str:
    """Return a time or a moment without the zeros at the end of its fraction of a second, and with minutes in its
    offset."""
    short = _ZEROS.sub(lambda found: found[1] or "", text)
    short = f"{short[:10]}T{short[11:]}" if short[10:11] == " " else short
    return f"{short}:00" if "T" in short and _SHORT_OFFSET.search(short) else short


def _unfit(kind: str) -> Callable[[Any], Any]:
    def refuse(_value: Any) -> Any:
        raise UnfitJson(f"a value of type {kind} has no exact JSON form. Cast it in extract.query.", "no_json_form")

    return refuse
