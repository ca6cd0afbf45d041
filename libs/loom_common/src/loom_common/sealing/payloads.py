"""Keeps payloads encrypted that hold whole records: those that were given to a run, and rows that it gives back."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

from loom_common.ports.payloads import PayloadStore
from loom_common.sealing.keyring import Keyring


class SealedPayloads:
    """Implements a `PayloadStore` by another one, for one pipeline."""

    def __init__(self, payloads: PayloadStore, keyring: Keyring, pipeline: str) -> None:
        self._payloads = payloads
        self._keyring = keyring
        self._context = f"{pipeline}/records"

    async def put(self, data: bytes, *, owner: str | None = None) -> str:
        """Store the payload sealed. Raises `ConfigurationError` besides, where the key cannot be used."""
        keys = await self._keyring.keys()
        return await self._payloads.put(keys.seal(data, self._context).encode(), owner=owner)

    async def put_first(self, data: bytes, *, owner: str, name: str) -> bytes:
        """Store the payload sealed. Raises as `put` and `get` do."""
        keys = await self._keyring.keys()
        sealed = keys.seal(data, self._context).encode()
        kept = await self._payloads.put_first(sealed, owner=owner, name=name)
        return keys.open(kept.decode("latin-1"), self._context)

    async def get(self, name: str) -> bytes:
        """Return what was sealed. Raises `PermanentError` and `ConfigurationError` besides."""
        keys = await self._keyring.keys()
        return keys.open((await self._payloads.get(name)).decode("latin-1"), self._context)

    async def owners(self) -> Mapping[str, dt.datetime]:
        return await self._payloads.owners()

    async def names(self, owner: str) -> Sequence[str]:
        return await self._payloads.names(owner)

    async def forget(self, owner: str) -> None:
        await self._payloads.forget(owner)

    async def close(self) -> None:
        await self._payloads.close()
