"""How many messages a worker has in hand, counted by what is left to do of them.

A batch is handed on when its last record is done. Where one record in a hundred takes long - a call that hangs, an
endpoint that asks to wait - most batches have such a record, and batches that only wait for one would fill every hand
while the models have nothing to do. So a handler says how far it is, and where half of the work that may be in hand is
done while the queue gives no more, the worker opens one more subscription of the same size. It lets one go again as
soon as there is more to do than that, or nothing comes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from time import monotonic

import structlog

from loom_common.errors import LoomError
from loom_common.ports.bus import Bus, Subscription
from loom_common.worker import process_memory

log = structlog.get_logger()

MOST = 16
"""Handfuls. What waits in them is held in memory, so they are bounded, however many records wait."""
TIGHT = 0.75
"""Share of the process's memory limit above which there is no further one."""


def subscriptions_wanted(now: int, size: int, in_hand: int, left: float, *, tight: bool = False) -> int:
    """How many subscriptions of `size` messages there should be, one more or one fewer than `now`. `in_hand` messages
    are not acknowledged, of which `left` (in messages) is still to be done. Pure."""
    if in_hand >= size * now and left <= size / 2:
        return now if tight or now == MOST else now + 1
    if now > 1 and (left > 2 * size or 2 * in_hand <= size * (now - 1)):
        return now - 1
    return now


class InFlightMessage:
    """One message of a worker's, and how much of it is done."""

    __slots__ = ("_began", "_changed", "_done", "_of", "_seconds")

    def __init__(self, changed: Callable[[float], None] = lambda _: None) -> None:
        """`changed` is told by how much what is left of the message became less."""
        self._changed = changed
        self._of, self._done = 1, 0
        self._began, self._seconds = monotonic(), 0.0

    @property
    def left(self) -> float:
        """From 1 to 0."""
        return 1 - self._done / self._of

    def begin(self, parts: int = 1) -> None:
        """It is of so many parts (records, questions), none of which is done."""
        self._seconds, self._began = self.seconds(), monotonic()
        self._changed(self.left - 1)
        self._of, self._done = max(1, parts), 0

    def one_done(self) -> None:
        """One of the parts. Who does a part again may say so again."""
        if self._done < self._of:
            self._done += 1
            self._seconds += (monotonic() - self._began) / self._of
            self._changed(1 / self._of)

    def seconds(self) -> float:
        """What it took so far, a part on average: one record that takes long makes no batch slow."""
        return self._seconds + self.left * (monotonic() - self._began)


class InFlightConsumers:
    """What a worker has in hand, and the subscriptions beside its first. `take` takes from one until that is stopped,
    and returns when all that came is settled."""

    def __init__(self, bus: Bus, queue: str, size: int, take: Callable[[Subscription], Awaitable[None]]) -> None:
        self.size = size
        """Messages per subscription."""
        self._bus = bus
        self._queue = queue
        self._take = take
        self._in_hand = 0
        self._left = 0.0
        self._memory_limit = process_memory.limit()
        self._further: list[Subscription] = []
        self._changed = asyncio.Event()
        self._stopped = False

    @contextmanager
    def one(self) -> Iterator[InFlightMessage]:
        """Within the block, one more message is in flight: the one that is given."""
        hand = InFlightMessage(self._less)
        self._in_hand += 1
        self._less(-1.0)
        try:
            yield hand
        finally:
            self._in_hand -= 1
            self._less(hand.left)

    async def run(self) -> None:
        """Open further subscriptions and let them go. For ever; raises what taking from them raises."""
        async with asyncio.TaskGroup() as group:
            while True:
                await self._changed.wait()
                self._changed.clear()
                while (wanted := self._wanted(tight=self._tight())) < 1 + len(self._further):
                    await self._further.pop().stop()
                if wanted > 1 + len(self._further) and (more := await self._subscribed()) is not None:
                    self._further.append(more)
                    group.create_task(self._taken_from(more))

    async def stop(self) -> None:
        """Take no more from those beside the first."""
        self._stopped = True
        while self._further:
            await self._further.pop().stop()

    async def _subscribed(self) -> Subscription | None:
        try:
            more = await self._bus.subscribe(self._queue, self.size)
        except LoomError as error:  # then without it, until something changes again
            log.debug("no further subscription", queue=self._queue, error=str(error))
            return None
        if self._stopped:
            await more.close()
            return None
        log.debug("one more subscription", queue=self._queue, in_hand=self._in_hand, left=round(self._left, 1))
        return more

    async def _taken_from(self, subscription: Subscription) -> None:
        try:
            await self._take(subscription)
        finally:
            await subscription.close()

    def _wanted(self, *, tight: bool = False) -> int:
        now = 1 + len(self._further)
        return now if self._stopped else subscriptions_wanted(now, self.size, self._in_hand, self._left, tight=tight)

    def _tight(self) -> bool:
        return self._memory_limit is not None and process_memory.held() > TIGHT * self._memory_limit

    def _less(self, by: float) -> None:
        self._left -= by
        if self._wanted() != 1 + len(self._further):
            self._changed.set()
