"""Keeps the records that a stage kept back, and ends their quarantine."""

from __future__ import annotations

from loom_common.async_engine import AsyncEngine
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

    async def keep(self, message: RecordsQuarantined, _: Context) -> RecordsKept:
        """Persist the records. Raises `DependencyUnavailable`."""
        kept = await store.keep(self._engine, message, self._clock.now())
        return RecordsKept(run_id=message.run_id, batch_id=message.batch_id, kept=kept)

    async def discard(self, message: DiscardRequest, _: Context) -> None:
        """Give the records up. Raises `DependencyUnavailable`."""
        await resolution.discard(self._engine, message.run_id, message.record_ids, self._clock.now())

    async def resolve(self, message: RecordsLoaded, _: Context) -> None:
        """Resolve the records, because they are loaded now. Raises `DependencyUnavailable`."""
        await resolution.loaded(self._engine, message.run_id, message.record_ids, self._clock.now())
