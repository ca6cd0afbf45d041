"""Counts the bytes that records take as JSON, by which batches and slices are bounded. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from loom_common.domain.values.ids import sorted_json
from loom_common.text import storable_value

MIB = 1024 * 1024
BETWEEN = 1
"""Counts what stands between two records, a comma. The bytes of some records are therefore the sum of those of each."""


def bytes_of(records: Sequence[Mapping[str, Any]]) -> int:
    """Return the bytes of some records together: those of one document, which is much cheaper than one for each."""
    if not records:
        return 0
    try:
        return len(orjson.dumps(records)) - BETWEEN
    except TypeError:
        return sum(map(bytes_of_one, records))


def bytes_of_one(record: Mapping[str, Any]) -> int:
    """Return the bytes of a record. One that the encoder refuses counts as it is shown where it is kept back."""
    if (written := sorted_json(record)) is None:
        written = repr(storable_value(record)).encode("utf-8", "backslashreplace")
    return len(written) + BETWEEN


def fitting(records: Sequence[Mapping[str, Any]], room: int) -> int:
    """Return how many records come before the first one that has no room."""
    for at, record in enumerate(records):
        room -= bytes_of_one(record)
        if room < 0:
            return at
    return len(records)


def chunks(records: Sequence[Mapping[str, Any]], most: int, most_bytes: int) -> list[tuple[int, int]]:
    """Return where chunks of records start and end, in their order: each has at most so many records, and so many
    bytes, unless it is a single one that is larger."""
    found: list[tuple[int, int]] = []
    start, size = 0, 0
    for at, more in enumerate(map(bytes_of_one, records)):
        if at > start and (at - start == most or size + more > most_bytes):
            found.append((start, at))
            start, size = at, 0
        size += more
    return [*found, (start, len(records))] if records else []
