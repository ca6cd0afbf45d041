"""What a transform is, and what it makes of one record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from loom_ai.spending import NOTHING, Spent
from loom_common.contracts.v1 import ExtractedRecord
from loom_common.errors import RecordError


@dataclass(frozen=True, slots=True)
class Outcome:
    """An output, or the error that prevented one; and what it took either way."""

    output: dict[str, Any] | None
    """None without an error: the output is the input."""
    seconds: float
    error: RecordError | None = None
    spent: Spent = NOTHING


class Transform(Protocol):
    """Makes outputs. One per plan; shared by all its batches."""

    async def apply(self, run_id: str, records: Sequence[ExtractedRecord]) -> list[Outcome]:
        """One outcome per record, in order. Raises `TransientError` where the batch should come again later,
        `PermanentError` where the run cannot go on; a record's own trouble is its outcome."""
        ...
