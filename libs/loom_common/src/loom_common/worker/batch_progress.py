"""Reports how far a worker is with the batches it works on, for commands that show a run's progress.

Nothing is decided by these reports. A batch is done when its fact says so."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from loom_common import flow
from loom_common.contracts.encoding.codec import encode
from loom_common.contracts.envelope import Message, Outgoing
from loom_common.contracts.v1 import BatchUnderWay, WorkUnderWay
from loom_common.errors import LoomError
from loom_common.ports.bus import Bus
from loom_common.worker.context import Progress
from loom_common.worker.failure_messages import Batch, stage_of

log = structlog.get_logger()

SECONDS = 0.5
"""The number of seconds between two reports of a worker."""


class BatchProgress:
    """Keeps the progress of the batches that one worker has in flight."""

    def __init__(self, service: str, replica: str, bus: Bus) -> None:
        self._service = service
        self._replica = replica
        self._bus = bus
        self._batches: dict[int, tuple[Batch, Progress]] = {}

    @contextmanager
    def of(self, message: Message, progress: Progress) -> Iterator[None]:
        """Within the block, the progress of the message is reported. A message that is no batch is not reported."""
        if not isinstance(message, Batch):
            yield
            return
        self._batches[id(progress)] = (message, progress)
        try:
            yield
        finally:
            del self._batches[id(progress)]

    async def run(self) -> None:
        """Report how far the batches are whenever that has changed, until this is cancelled."""
        before: tuple[BatchUnderWay, ...] = ()
        while True:
            await asyncio.sleep(SECONDS)
            now = tuple(self._begun())
            if now and now != before:
                await self._publish(now)
            before = now

    def _begun(self) -> Iterator[BatchUnderWay]:
        for batch, progress in list(self._batches.values()):
            stage, done = stage_of(batch), int(len(batch.records) * progress.share)
            if stage is not None and done:
                header = batch.header
                yield BatchUnderWay(
                    run_id=header.run_id, batch_id=header.batch_id, epoch=header.epoch, stage=stage, done=done
                )

    async def _publish(self, batches: tuple[BatchUnderWay, ...]) -> None:
        report = WorkUnderWay(service=self._service, replica=self._replica, batches=batches)
        outgoing = Outgoing(flow.fact("worker", "underway", self._service), report, mandatory=False)
        try:
            await self._bus.publish([encode(outgoing, self._service)])
        except LoomError as error:
            log.debug("progress not reported", error=str(error))
