"""Defines the port of the payload store, which holds bytes by the hash of their content. It holds plans and the bodies
of large messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class PayloadStore(Protocol):
    """Describes a durable store without eviction that all workers share."""

    async def put(self, data: bytes, *, run_id: str | None = None) -> str:
        """Store `data` and return its name: the SHA-256 as 64 hexadecimal digits, behind `run_id/` where a run owns it.

        Storing the same data twice has no further effect."""
        ...

    async def get(self, name: str) -> bytes:
        """Return the data with that name. Raises `KeyError` where there is none, and `DependencyUnavailable`."""
        ...

    async def runs(self) -> Sequence[str]:
        """Return the runs that own data here."""
        ...

    async def forget(self, run_id: str) -> None:
        """Delete the data that a run owns. Plans are kept."""
        ...

    async def close(self) -> None:
        """Close connections."""
        ...
