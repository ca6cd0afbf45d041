"""The payload store: bytes by the hash of their content. Plans live here, and the bodies of large messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class PayloadStore(Protocol):
    """Durable, never evicting, shared by every worker."""

    async def put(self, data: bytes, *, run_id: str | None = None) -> str:
        """Keep `data`; return its name: its SHA-256 as 64 hexadecimal digits, below `run_id/` where it is a run's own.
        Putting twice is once."""
        ...

    async def get(self, name: str) -> bytes:
        """The data of that name. Raises `KeyError` where there is none, `DependencyUnavailable`."""
        ...

    async def runs(self) -> Sequence[str]:
        """The runs that have data of their own here."""
        ...

    async def forget(self, run_id: str) -> None:
        """Drop a run's own data. Plans stay."""
        ...

    async def close(self) -> None:
        """Release connections."""
        ...
