"""Which records a sample of the evaluation takes: always the same ones, whatever their order, batch or run; and what
is shown of a run over a few records. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

SHOWN_ROWS = 10
"""Rows of a `--sample` run that its report shows."""
_SHOWN_LETTERS = 1000


def shown_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as a report shows it: long texts are cut."""
    return {name: _cut(value) for name, value in row.items()}


def _cut(value: Any) -> Any:
    if isinstance(value, str) and len(value) > _SHOWN_LETTERS:
        return f"{value[:_SHOWN_LETTERS]} ... ({len(value):,} characters)"
    return value


def sampled(record_id: str, share: float) -> bool:
    """Whether a sample of `share` (0 to 1) takes the record. A larger sample takes all that a smaller one does."""
    if share >= 1.0:
        return True
    place = int.from_bytes(hashlib.sha256(record_id.encode()).digest()[:8])
    return place / 2**64 < share
