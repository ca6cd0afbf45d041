"""Decides how many pieces a query is split into, and at which keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from loom_connectors.ports.source import PIECES
from loom_connectors.sql.keyset_paging import KeyCursor

PIECE_ROWS = 100_000
"""The number of rows of a piece, where nobody says how many pieces there are to be (a second or two of reading)."""
SAMPLE_KEYS = 4096
"""The number of keys that are looked at to find those at which pieces begin."""


def worth(rows: int) -> int:
    """Return how many pieces so many rows are worth."""
    return min(PIECES, rows // PIECE_ROWS)


def between(low: int, high: int, parts: int) -> list[int]:
    """Return the whole numbers that divide those from `low` to `high` into `parts` ranges, each number the first of its
    range; fewer where there are fewer numbers."""
    span = high - low + 1
    return sorted({low + span * at // parts for at in range(1, parts)} - {low})


def quantiles(sample: Sequence[Any], parts: int) -> list[Any]:
    """Return the keys of a sorted sample that divide it into `parts` ranges about equal, each key the first of its
    range; fewer where there are fewer keys."""
    found = dict.fromkeys(sample[len(sample) * at // parts] for at in range(1, parts)) if sample else {}
    return [key for key in found if key != sample[0]]


def starting_at(keys: Sequence[Any]) -> list[Any]:
    """Return the cursors of pieces that begin at these values of the first key column."""
    return [KeyCursor(last=(key,)).json for key in keys]
