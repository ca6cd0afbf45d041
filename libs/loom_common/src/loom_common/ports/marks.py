"""Marks: which batches are in somebody's hands, kept where the death of a process cannot take them.

Losing them costs the isolation of a poison record for one more death of a worker, never a record."""

from __future__ import annotations

from typing import Protocol

from loom_common.domain.marks import Mark


class Marks(Protocol):
    """Marks by batch. What a method has returned for survives the death of this process.

    Every method raises `DependencyUnavailable` or `PermanentError` where the marks cannot be reached."""

    async def begin(self, batch: str, mark: Mark) -> Mark | None:
        """Keep `mark` and return None; where the batch has a mark already, return that one and keep it."""
        ...

    async def keep(self, batch: str, mark: Mark) -> None:
        """Keep `mark` in place of the batch's older one."""
        ...

    async def clear(self, batch: str) -> None:
        """Forget the batch."""
        ...

    async def close(self) -> None:
        """Release connections."""
        ...
