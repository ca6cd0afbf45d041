"""Keeps how far batches are that their stage is not done with, as the workers say. Kept in memory: it serves the
progress of runs alone."""

from __future__ import annotations

import asyncio

from loom_common.contracts.v1 import BatchUnderWay, WorkUnderWay
from loom_common.ports.bus import Bus
from loom_common.worker.batch_progress import REPEAT_SECONDS
from loom_coordinator.flow_control.event_listener import listening

_OLD_SECONDS = 2.5 * REPEAT_SECONDS
"""What was said so long ago is not counted any more: its batch is done, or its worker gone."""


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
        async with listening(self._bus, "worker.underway.*", WorkUnderWay, self._hear) as receiving:
            stopping = asyncio.create_task(stop.wait())
            try:
                await asyncio.wait({stopping, receiving}, return_when=asyncio.FIRST_COMPLETED)
                if receiving.done():
                    receiving.result()
            finally:
                stopping.cancel()

    def _hear(self, work: WorkUnderWay) -> None:
        now = asyncio.get_running_loop().time()
        for batch in work.batches:
            self._heard.setdefault(batch.run_id, {})[batch.batch_id] = (now, batch)
