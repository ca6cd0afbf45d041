"""Keeps how far batches are that their stage is not done with, as the workers say. Kept in memory: it serves the
progress of runs alone."""

from __future__ import annotations

import asyncio

import structlog

from loom_common.contracts.encoding.codec import decode
from loom_common.contracts.v1 import BatchUnderWay, WorkUnderWay
from loom_common.errors import UnreadableMessage
from loom_common.flow import Binding, Exchange
from loom_common.ports.bus import Bus, Delivery, Subscription

log = structlog.get_logger()

_OLD_SECONDS = 5.0
"""What was said so long ago is not counted any more: its batch is done, or its worker gone."""
_AT_ONCE = 500


class UnderWay:
    """Hears every worker, on a queue of this coordinator's own."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._heard: dict[str, dict[str, tuple[float, BatchUnderWay]]] = {}
        """Holds what was heard by run and batch, with when it was heard by the event loop's clock."""

    def of(self, run_id: str, epoch: int) -> list[BatchUnderWay]:
        """Return the run's batches that were heard of lately."""
        now = asyncio.get_running_loop().time()
        fresh = {
            name: (at, batch) for name, (at, batch) in self._heard.get(run_id, {}).items() if now - at < _OLD_SECONDS
        }
        if fresh:
            self._heard[run_id] = fresh
        else:
            self._heard.pop(run_id, None)
        return [batch for _, batch in fresh.values() if batch.epoch == epoch]

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop`."""
        queue = await self._bus.temporary_queue([Binding(Exchange.EVENTS, "worker.underway.*")])
        subscription = await self._bus.subscribe(queue, prefetch=_AT_ONCE)
        listening = asyncio.create_task(self._listen(subscription))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({stopping, listening}, return_when=asyncio.FIRST_COMPLETED)
            if listening.done():
                listening.result()
        finally:
            listening.cancel()
            stopping.cancel()
            await asyncio.gather(listening, stopping, return_exceptions=True)
            await subscription.close()

    async def _listen(self, subscription: Subscription) -> None:
        async for delivery in subscription:
            self._hear(delivery)
            await delivery.ack()

    def _hear(self, delivery: Delivery) -> None:
        try:
            word = decode(delivery, WorkUnderWay)
        except UnreadableMessage as error:
            log.debug("progress not understood", reason=str(error))
            return
        assert isinstance(word, WorkUnderWay)
        now = asyncio.get_running_loop().time()
        for batch in word.batches:
            self._heard.setdefault(batch.run_id, {})[batch.batch_id] = (now, batch)
