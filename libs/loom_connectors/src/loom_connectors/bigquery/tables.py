"""Says how what a load needs is created in BigQuery, added and widened: tables, columns, the ledger."""

from __future__ import annotations

import re
from collections.abc import Mapping

from loom_connectors.bigquery.statements import quoted
from loom_connectors.sql.columns import Kind
from loom_connectors.sql.needs import Needs
from loom_connectors.sql.table_name import TableName

TYPES = {
    Kind.TEXT: "STRING",
    Kind.INTEGER: "INT64",
    Kind.NUMBER: "FLOAT64",
    Kind.BOOLEAN: "BOOL",
    Kind.JSON: "JSON",
    Kind.BIG_INTEGER: "BIGNUMERIC",
    Kind.BYTES: "BYTES",
    Kind.VECTOR: "JSON",
    Kind.ANY: "JSON",
}
LOCK = "lock"
"""The row of the ledger, of no run, that a transaction updates. BigQuery lets two transactions insert into one table at
the same time, and ends one of two that update it."""
_LIMITED = re.compile(r"STRING\(\d+\)")
_DECIMAL = re.compile(r"NUMERIC\((\d+), (\d+)\)")
_NUMERIC = (29, 9)
_BIGNUMERIC = (38, 38)
"""Hold how many digits before and after the point the types keep, all of them."""


def ledger_sql(ledger: TableName) -> str:
    """Return the statement that creates the load ledger, with the row that is locked, where it is missing."""
    return (
        f"CREATE TABLE IF NOT EXISTS {ledger.quoted_by(quoted)} AS SELECT '' AS run_id, '{LOCK}' AS batch_id, "
        "0 AS loaded, '[]' AS failed, CURRENT_TIMESTAMP() AS loaded_at"
    )


def table_sql(table: TableName, kinds: Mapping[str, Kind]) -> str:
    """Return the statement that creates the table where it is missing."""
    columns = ", ".join(f"{quoted(name)} {TYPES[kind]}" for name, kind in kinds.items())
    return f"CREATE TABLE IF NOT EXISTS {table.quoted_by(quoted)} ({columns})"


def wider(declared: str, needs: Needs) -> str | None:
    """Return the type that takes what the column holds and these values, too; None where `declared` takes them, or no
    type takes both as they are."""
    kind = declared.removesuffix(" NOT NULL")
    if _LIMITED.fullmatch(kind):
        return "STRING" if needs.texts and needs.longest > int(kind[7:-1]) else None
    if kind not in ("INT64", "NUMERIC") and not _DECIMAL.fullmatch(kind):
        return None
    if not needs.numbers or _takes(kind, needs):
        return None
    return next((each for each in ("NUMERIC", "BIGNUMERIC") if each != kind and _takes(each, needs)), None)


def _takes(kind: str, needs: Needs) -> bool:
    if kind == "INT64":
        return needs.within_bits(64)
    before, after = _NUMERIC if kind == "NUMERIC" else _BIGNUMERIC
    if (found := _DECIMAL.fullmatch(kind)) is not None:
        before, after = int(found[1]) - int(found[2]), int(found[2])
    return needs.before <= before and needs.after <= after
