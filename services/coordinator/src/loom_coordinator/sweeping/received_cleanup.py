"""Removes the messages that runs took from queues, and the records that their steps grouped, once nobody can ask for
them again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from sqlalchemy import select

from loom_common.errors import LoomError
from loom_common.logs.logger import log
from loom_common.ports.group_members import GroupMembers
from loom_common.ports.received_pages import ReceivedPages
from loom_common.service.periodic import every, wait_for_stop
from loom_coordinator.db import run_rows, streams
from loom_coordinator.db.outbox_relay import OutboxRelay
from loom_coordinator.db.tables.runs import pipeline_runs

_FIRST_AFTER_SECONDS = 2.0
"""Says how long the first look waits, so that a short run does not pay for it."""
_EVERY_SECONDS = 60.0


class ReceivedCleanup:
    """Drops what was received and grouped for runs that cannot be resumed, and for windows of streams that are over. A
    run that failed or was cancelled keeps its messages, because the queue has them no more, and its groups."""

    def __init__(
        self, outbox: OutboxRelay, open_pages: Callable[[], ReceivedPages], open_groups: Callable[[], GroupMembers]
    ) -> None:
        self._outbox = outbox
        self._open_pages = open_pages
        self._open_groups = open_groups

    async def run(self, stop: asyncio.Event) -> None:
        """Run once a minute, until `stop`."""
        await wait_for_stop(stop, _FIRST_AFTER_SECONDS)
        if stop.is_set():
            return
        pages, groups = self._open_pages(), self._open_groups()
        try:
            async for _ in every(_EVERY_SECONDS, stop):
                try:
                    await self.tidy(pages)
                    await groups.forget(await self._over(await groups.runs()))
                except LoomError as error:
                    log.warning("received messages are not tidied up", error=str(error))
        finally:
            await pages.close()
            await groups.close()

    async def tidy(self, pages: ReceivedPages) -> None:
        """Look once. Raises what the stores raise."""
        held = await pages.runs()
        if not held:
            return
        names = await self._over(held)
        async with self._outbox.unit() as unit:
            first = await streams.first_pages(unit.connection)
        await pages.forget(names)
        for stream_id in set(held) & set(first):
            await pages.forget_before(stream_id, first[stream_id])

    async def _over(self, run_ids: Sequence[str]) -> list[str]:
        """Return those of these runs that are over for good."""
        if not run_ids:
            return []
        runs = pipeline_runs.c
        async with self._outbox.unit() as unit:
            ended = await unit.connection.execute(select(runs.run_id).where(runs.run_id.in_(run_ids), run_rows.OVER))
            return list(ended.scalars())
