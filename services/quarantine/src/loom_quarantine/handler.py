"""Records that a stage kept back in; the fact that they are kept out, once they are. And what ends their quarantine."""

from __future__ import annotations

from typing import cast

from sqlalchemy.ext.asyncio import AsyncEngine

from loom_common import flow
from loom_common.contracts.envelope import Message, Outgoing
from loom_common.contracts.v1 import DiscardRequest, RecordsKept, RecordsLoaded, RecordsQuarantined
from loom_common.ports.clock import Clock
from loom_common.worker.context import Context
from loom_quarantine import resolution
from loom_quarantine.db import store


class Quarantine:
    """Persists records before their message is acknowledged; gives up those that somebody discards, and resolves
    those that were loaded after all."""

    def __init__(self, engine: AsyncEngine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    async def __call__(self, message: Message, context: Context) -> list[Outgoing]:
        """Raises `DependencyUnavailable`."""
        if isinstance(message, DiscardRequest):
            await resolution.discard(self._engine, message.run_id, message.record_ids, self._clock.now())
            return []
        if isinstance(message, RecordsLoaded):
            await resolution.loaded(self._engine, message.run_id, message.record_ids, self._clock.now())
            return []
        records = cast("RecordsQuarantined", message)
        kept = await store.keep(self._engine, records, self._clock.now())
        fact = RecordsKept(run_id=records.run_id, batch_id=records.batch_id, kept=kept)
        return [Outgoing(flow.fact("records", "kept", records.pipeline), fact)]
