"""Holds the records that the steps of one batch work on: those of the batch, and those that steps make of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from loom_common.contracts.v1 import Derived, ExtractedRecord
from loom_common.domain.values.ids import bounded


class Rows:
    """Gives records their numbers: first those of the batch, then those that steps make of others, in the order in
    which they are made. What a step says of a record holds for those that are made of it later, too."""

    def __init__(self, records: Sequence[ExtractedRecord]) -> None:
        self.records = list(records)
        self.given = len(records)
        self.derived = any(record.derived is not None for record in records)
        """Tells whether some of the batch were made of others in a run that kept them back."""
        self._parents: list[int] = [-1] * len(records)
        self._levels: list[tuple[str, ...]] = [()] * len(records)
        self._parts: dict[tuple[str, int], list[int]] = {}

    def __len__(self) -> int:
        return len(self.records)

    @property
    def grown(self) -> bool:
        """Tell whether steps have made records."""
        return len(self.records) > self.given

    def add(self, step: str, parent: int, data: dict[str, Any], derived: Derived) -> int:
        """Enter a record that `step` makes of another one, and return its number. Its id follows from that of the other
        one, the step and its place."""
        parts = self._parts.setdefault((step, parent), [])
        at = len(self.records)
        parts.append(at)
        record_id = bounded(f"{self.records[parent].id}#{step}.{len(parts)}")
        self.records.append(ExtractedRecord(record_id, data, derived))
        self._parents.append(parent)
        self._levels.append((*self._levels[parent], step))
        return at

    def parent(self, at: int) -> tuple[int, str]:
        """Return of which record one was made, and by which step; -1 for one of the batch."""
        return self._parents[at], self._levels[at][-1] if self._levels[at] else ""

    def parts(self, step: str, parent: int) -> list[int]:
        """Return the records that `step` made of one."""
        return self._parts.get((step, parent), [])

    def is_of(self, at: int, steps: Collection[str]) -> bool:
        """Tell whether a record is of the batch, or was made by some of these steps alone."""
        return all(step in steps for step in self._levels[at])

    def seen_as(self, at: int, steps: Collection[str]) -> int:
        """Return the record that stood for this one where only those were there that `steps` make."""
        while not self.is_of(at, steps):
            at = self._parents[at]
        return at
