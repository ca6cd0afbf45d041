"""Reads the values of BigQuery's columns: what JSON says exactly becomes that, the rest the text that BigQuery reads
back."""

from __future__ import annotations

from loom_common.domain.json_values.exact_json import loads
from loom_connectors.bigquery.answers import Column
from loom_connectors.bigquery.statements import quoted
from loom_connectors.sql.reading.mark import Compared, MarkColumn
from loom_connectors.sql.reading.source_dialect import ReadColumn
from loom_connectors.sql.warehouse.reading import itself, moment, number, unfit
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


def read_column(column: Column) -> ReadColumn:
    """Return how a column of a query is read."""
    kind = column.type.partition("(")[0]
    if kind in _TIMES:
        return ReadColumn(column.name, kind, as_text, moment)
    if kind in _DECIMALS:
        return ReadColumn(column.name, kind, as_text, _decimal)
    if kind == "BYTES":
        return ReadColumn(column.name, kind, lambda sql: f"TO_HEX({sql})", lambda text: as_object(bytes.fromhex(text)))
    if kind == "JSON":
        return ReadColumn(column.name, kind, as_json, loads)
    if kind in ("STRING", "INT64", "BOOL"):
        return ReadColumn(column.name, kind, itself, None, whole=kind == "INT64")
    if kind == "FLOAT64":
        return ReadColumn(column.name, kind, itself, number)
    return ReadColumn(column.name, kind, as_json, unfit(kind))


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


def _decimal(text: str) -> str:
    """Return a decimal number without zeros at its end."""
    return text.rstrip("0").rstrip(".") if "." in text else text
