"""Keeps the records encrypted that were given over HTTP to a pipeline with sensitive fields."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import replace

from loom_common.ports.inbox import Inbox, InboxRecord
from loom_common.sealing.keyring import Keyring


class SealedInbox:
    """Implements `Inbox` by another, for one pipeline."""

    def __init__(self, inbox: Inbox, keyring: Keyring, pipeline: str) -> None:
        self._inbox = inbox
        self._keyring = keyring
        self._context = f"{pipeline}/inbox"

    async def add(self, records: Sequence[InboxRecord], *, most: int, window: dt.timedelta) -> Sequence[str]:
        keys = await self._keyring.keys()
        sealed = [replace(each, body=keys.seal(each.body, self._context).encode()) for each in records]
        return await self._inbox.add(sealed, most=most, window=window)

    async def oldest(self, most: int) -> Sequence[InboxRecord]:
        keys = await self._keyring.keys()
        found = await self._inbox.oldest(most)
        return [replace(each, body=keys.open(each.body.decode("latin-1"), self._context)) for each in found]

    async def remove(self, ids: Collection[str]) -> None:
        await self._inbox.remove(ids)

    async def count(self) -> int:
        return await self._inbox.count()

    async def close(self) -> None:
        await self._inbox.close()
