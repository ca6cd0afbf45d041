"""Describes what became of the rows of a batch: which a table can be asked to take, and the result the ledger keeps."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import asdict, replace
from typing import Any

from loom_connectors.ports.destination import FailedRow, LoadBatch, LoadResult, Row
from loom_connectors.values import json_text

_NOT_IN_JSONB = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")

FINALIZED = "finalize"
"""The ledger's row for the exchange of a run that replaces a table: it stands for no batch."""


def sorted_out(
    rows: Sequence[Row], names: Sequence[str], known: Sequence[str], key: Sequence[str]
) -> tuple[list[Row], list[FailedRow]]:
    """The rows a table can be asked to take, and those it cannot: a column it lacks, or no value for the key. `names`
    are the columns that the rows have (see `columns_of`)."""
    fit, failed = [], []
    columns = frozenset(known)
    if not key and columns.issuperset(names) and all(row.values for row in rows):
        return list(rows), []
    for row in rows:
        keyless = [name for name in key if row.values.get(name) is None] if key else ()
        if not row.values.keys() <= columns:
            strange = next(name for name in row.values if name not in columns)
            words = f"The table has no column '{strange}'; its columns are {', '.join(known)}."
            failed.append(FailedRow(row.record_id, "missing_column", words))
        elif keyless:
            failed.append(FailedRow(row.record_id, "missing_key", f"The key column '{keyless[0]}' has no value."))
        elif not row.values:
            failed.append(FailedRow(row.record_id, "empty", "The record has no field to load."))
        else:
            fit.append(row)
    return fit, failed


def result_of(rows: Sequence[Row], failed: Sequence[FailedRow]) -> LoadResult:
    """Return what became of a batch, failed rows in the batch's order."""
    if not failed:
        return LoadResult(len(rows))
    place = {row.record_id: at for at, row in enumerate(rows)}
    return LoadResult(len(rows) - len(failed), tuple(sorted(failed, key=lambda each: place[each.record_id])))


def left_out(batch: LoadBatch, before: Collection[str]) -> tuple[LoadBatch, list[str]]:
    """Return the batch without the rows whose threads were loaded `before`; and the threads of those that are left."""
    threads = batch.threads
    left = [name for name in threads if name not in before]
    wanted = {id(threads[name]) for name in left}
    return replace(batch, rows=[row for row in batch.rows if id(row) in wanted]), left


def threads_of(batch: LoadBatch, failed: Sequence[FailedRow]) -> list[str]:
    """Return the threads of rows that failed."""
    names = {row.record_id for row in failed}
    return [thread for thread, row in batch.threads.items() if row.record_id in names]


def failed_as_json(failed: Sequence[FailedRow]) -> str:
    """Write the failed rows for the load ledger. Where it holds what Postgres takes in no JSON (NUL, half a surrogate
    pair), as hexadecimal digits."""
    text = json_text([asdict(each) for each in failed])
    return f'"{text.encode().hex()}"' if _NOT_IN_JSONB.search(text) else text


def stored_result(loaded: int, failed: Any) -> LoadResult:
    """Return the result that the load ledger holds; `failed` as JSON text or read."""
    entries = json.loads(failed) if isinstance(failed, str) and failed.startswith(("[", '"')) else failed
    if isinstance(entries, str):
        entries = json.loads(bytes.fromhex(entries))
    return LoadResult(loaded, tuple(FailedRow(**entry) for entry in entries))
