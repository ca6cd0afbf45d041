"""Defines the port of batch marks, which record the batches that a process is working on and outlive the process.

Losing them costs one more process death per poison record, but no record."""

from __future__ import annotations

from typing import Protocol

from loom_common.domain.marks import Mark


class Marks(Protocol):
    """Keeps marks by batch. What a method has returned for outlives this process.

    Every method raises `DependencyUnavailable` or `PermanentError` where the store cannot be used."""

    async def begin(self, batch: str, mark: Mark) -> Mark | None:
        """Store `mark` and return None. Where the batch has a mark already, keep that and return it."""
        ...

    async def keep(self, batch: str, mark: Mark) -> None:
        """Replace the batch's mark."""
        ...

    async def clear(self, batch: str) -> None:
        """Delete the batch's mark."""
        ...

    async def close(self) -> None:
        """Close the connections to the store. Marks that were put stay."""
        ...
