"""Keeps the messages encrypted that runs have taken from queues."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from loom_common.ports.received_pages import ReceivedMessage, ReceivedPage, ReceivedPages
from loom_common.sealing.keyring import Keyring
from loom_common.sealing.keys import Keys


class SealedPages:
    """Implements `ReceivedPages` by others, for one pipeline."""

    def __init__(self, pages: ReceivedPages, keyring: Keyring, pipeline: str) -> None:
        self._pages = pages
        self._keyring = keyring
        self._context = f"{pipeline}/messages"

    async def page(self, run_id: str, number: int) -> ReceivedPage | None:
        return self._opened(await self._pages.page(run_id, number), await self._keyring.keys())

    async def keep(
        self,
        run_id: str,
        number: int,
        source: str | None,
        messages: Sequence[ReceivedMessage],
        state: Any,
        *,
        end: bool,
        again: int = 0,
    ) -> ReceivedPage | None:
        keys = await self._keyring.keys()
        sealed = [replace(each, body=keys.seal(each.body, self._context).encode()) for each in messages]
        return self._opened(await self._pages.keep(run_id, number, source, sealed, state, end=end, again=again), keys)

    async def forget_identities(self, source: str, before: dt.datetime) -> None:
        await self._pages.forget_identities(source, before)

    async def runs(self) -> Sequence[str]:
        return await self._pages.runs()

    async def forget(self, run_ids: Collection[str]) -> None:
        await self._pages.forget(run_ids)

    async def forget_before(self, run_id: str, number: int) -> None:
        await self._pages.forget_before(run_id, number)

    async def close(self) -> None:
        await self._pages.close()

    def _opened(self, page: ReceivedPage | None, keys: Keys) -> ReceivedPage | None:
        if page is None:
            return None
        return replace(page, bodies=tuple(keys.open(each.decode("latin-1"), self._context) for each in page.bodies))
