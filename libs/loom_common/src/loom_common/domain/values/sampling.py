"""Chooses the records of an evaluation sample, always the same ones, and shortens rows for a report. It does no I/O."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

SHOWN_ROWS = 10
"""The most rows of a `--sample` run that its report shows."""
_SHOWN_LETTERS = 1000


def shown_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row as a report shows it, with long texts cut."""
    return {name: _cut(value) for name, value in row.items()}


def _cut(value: Any) -> Any:
    if isinstance(value, str) and len(value) > _SHOWN_LETTERS:
        return f"{value[:_SHOWN_LETTERS]} ... ({len(value):,} characters)"
    return value


def sampled(record_id: str, share: float) -> bool:
    """Say whether a sample of `share` (0 to 1) contains the record. A larger sample contains every smaller one."""
    if share >= 1.0:
        return True
    place = int.from_bytes(hashlib.sha256(record_id.encode()).digest()[:8])
    return place / 2**64 < share
