"""The payload store: bytes by the hash of their content. Plans live here."""

from __future__ import annotations

from typing import Protocol


class PayloadStore(Protocol):
    """Durable, never evicting, shared by every worker."""

    async def put(self, data: bytes) -> str:
        """Keep `data`; return its SHA-256 as 64 hexadecimal digits. Putting twice is once."""
        ...

    async def get(self, name: str) -> bytes:
        """The data of that hash. Raises `KeyError` where there is none, `DependencyUnavailable`."""
        ...

    async def close(self) -> None:
        """Release connections."""
        ...
