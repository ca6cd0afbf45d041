"""Makes records of rows of typed columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from loom_common.errors import RecordError
from loom_connectors.formats.arrow.json_values import values_of
from loom_connectors.ports.source import ReadRecord
from loom_connectors.values import UnfitValue


def records_of(batch: Any, names: Sequence[str], first: int, prefix: str, shown: str) -> list[ReadRecord]:
    """Return the rows of a record batch, whose columns have these names. `first` is the number of its first row, and
    `prefix` stands before the position of each; `shown` says where they are from. A row with a value that has no JSON
    form has an error, and its neighbours have none."""
    try:
        columns = [values_of(array, name) for name, array in zip(names, batch.columns, strict=True)]
    except UnfitValue:
        return [_one(batch.slice(at, 1), names, first + at, prefix, shown) for at in range(batch.num_rows)]
    return [
        ReadRecord(f"{prefix}row {number}", dict(zip(names, row, strict=True)))
        for number, row in enumerate(zip(*columns, strict=True), first)
    ]


def _one(row: Any, names: Sequence[str], number: int, prefix: str, shown: str) -> ReadRecord:
    """Return one record; where it cannot be used, with what can be read of it."""
    data: dict[str, Any] = {}
    fault: UnfitValue | None = None
    for name, array in zip(names, row.columns, strict=True):
        try:
            (data[name],) = values_of(array, name)
        except UnfitValue as error:
            fault = fault or error
    position = f"{prefix}row {number}"
    if fault is None:
        return ReadRecord(position, data)
    why = RecordError(f"{shown} row {number}, {fault}", code="type", details={"row": number})
    return ReadRecord(position, data, why)
