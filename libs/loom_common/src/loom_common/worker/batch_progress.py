"""How far a worker is with the batches it has in hand, for those who watch a run.

A stage says when it is through with a record, from whatever thread it works in. What is said changes nothing: that a
batch is done, its fact alone tells."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import structlog

from loom_common import flow
from loom_common.contracts.encoding.codec import encode
from loom_common.contracts.envelope import Message, Outgoing
from loom_common.contracts.v1 import BatchUnderWay, WorkUnderWay
from loom_common.errors import LoomError
from loom_common.ports.bus import Bus
from loom_common.worker.failure_messages import Batch, stage_of

log = structlog.get_logger()

SECONDS = 0.5
"""Between two words of a worker."""


class Parts:
    """The parts (records, or questions about them) of one batch, and how many of them are done."""

    __slots__ = ("done", "of")

    def __init__(self, of: int) -> None:
        self.of, self.done = max(1, of), 0

    @property
    def share(self) -> float:
        """From 0 to 1."""
        return min(1.0, self.done / self.of)


current: ContextVar[Parts | None] = ContextVar("loom_under_way", default=None)
"""Set for the time of a handler, for all tasks that are begun in it, and for threads that run in its context."""


def begin(parts: int) -> None:
    """The batch in hand is of so many parts, none of which is done."""
    if (mine := current.get()) is not None:
        mine.of, mine.done = max(1, parts), 0


def one_done(_: object = None) -> None:
    """One part is done; may be called back by the task that did it."""
    if (mine := current.get()) is not None:
        mine.done += 1


class InHand:
    """The batches that one worker has in hand."""

    def __init__(self, service: str, replica: str, bus: Bus) -> None:
        self._service = service
        self._replica = replica
        self._bus = bus
        self._batches: dict[int, tuple[Batch, Parts]] = {}

    @contextmanager
    def one(self, message: Message) -> Iterator[None]:
        """For the block, the batch is in hand and `current`; what is no batch has no parts to tell of."""
        if not isinstance(message, Batch):
            yield
            return
        parts = Parts(len(message.records))
        token = current.set(parts)
        self._batches[id(parts)] = (message, parts)
        try:
            yield
        finally:
            del self._batches[id(parts)]
            current.reset(token)

    async def tell(self) -> None:
        """Say how far the batches are, as long as there is anything new to say. For ever."""
        before: tuple[BatchUnderWay, ...] = ()
        while True:
            await asyncio.sleep(SECONDS)
            now = tuple(self._begun())
            if now and now != before:
                await self._say(now)
            before = now

    def _begun(self) -> Iterator[BatchUnderWay]:
        for batch, parts in list(self._batches.values()):
            stage, done = stage_of(batch), int(len(batch.records) * parts.share)
            if stage is not None and done:
                header = batch.header
                yield BatchUnderWay(
                    run_id=header.run_id, batch_id=header.batch_id, epoch=header.epoch, stage=stage, done=done
                )

    async def _say(self, batches: tuple[BatchUnderWay, ...]) -> None:
        word = WorkUnderWay(service=self._service, replica=self._replica, batches=batches)
        outgoing = Outgoing(flow.fact("worker", "underway", self._service), word, mandatory=False)
        try:
            await self._bus.publish([encode(outgoing, self._service)])
        except LoomError as error:
            log.debug("progress not heard", error=str(error))
