"""What became of the rows of a batch: which a table can be asked to take, and the result the ledger keeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import orjson

from loom_common.domain.ids import content_hash
from loom_connectors.ports import FailedRow, LoadResult, Row


def sorted_out(rows: Sequence[Row], known: Sequence[str], key: Sequence[str]) -> tuple[list[Row], list[FailedRow]]:
    """The rows a table can be asked to take, and those it cannot: a column it lacks, or no value for the key."""
    fit, failed = [], []
    for row in rows:
        strange = [name for name in row.values if name not in known]
        keyless = [name for name in key if row.values.get(name) is None]
        if strange:
            words = f"The table has no column '{strange[0]}'; its columns are {', '.join(known)}."
            failed.append(FailedRow(row.record_id, "missing_column", words))
        elif keyless:
            failed.append(FailedRow(row.record_id, "missing_key", f"The key column '{keyless[0]}' has no value."))
        elif not row.values:
            failed.append(FailedRow(row.record_id, "empty", "The record has no field to load."))
        else:
            fit.append(row)
    return fit, failed


def result_of(rows: Sequence[Row], failed: Sequence[FailedRow]) -> LoadResult:
    """What became of a batch, failed rows in the batch's order."""
    place = {row.record_id: at for at, row in enumerate(rows)}
    return LoadResult(len(rows) - len(failed), tuple(sorted(failed, key=lambda each: place[each.record_id])))


def failed_as_json(failed: Sequence[FailedRow]) -> str:
    """For the load ledger."""
    return orjson.dumps([asdict(each) for each in failed]).decode()


def stored_result(loaded: int, failed: Any) -> LoadResult:
    """The result that the load ledger holds; `failed` as JSON text or read."""
    entries = orjson.loads(failed) if isinstance(failed, str) else failed
    return LoadResult(loaded, tuple(FailedRow(**entry) for entry in entries))


def staging_name(table: str, run_id: str) -> str:
    """Where a replacing run collects its rows: `<table>__loom_<run>`, within Postgres's 63 bytes."""
    tail = f"__loom_{run_id}"
    if len(tail) > 40:
        tail = f"__loom_{content_hash(run_id.encode())[:16]}"
    return table.encode()[: 63 - len(tail.encode())].decode(errors="ignore") + tail
