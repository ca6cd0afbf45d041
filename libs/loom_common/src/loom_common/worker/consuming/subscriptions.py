"""Manages the subscriptions of one worker: how many there are, and how many messages each may hold.

One object opens, resizes and releases all of them, so that a new prefetch limit reaches every one. A worker begins with
one subscription. It opens another of the same size when as many messages are in flight as may be and they do not keep
it busy: because most of them only wait for a few slow records, or because they hold fewer records than the handler may
work on at once. It releases one when there is more to do than that, when the queue gives no more messages, and when the
process is near its memory limit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from loom_common.errors import LoomError
from loom_common.logs.logger import log
from loom_common.ports.bus import Bus, Subscription
from loom_common.resilience import process_memory
from loom_common.worker.consuming.in_flight import InFlightMessages, WorkInFlight

MOST = 16
"""The number of subscriptions of a worker. The messages of all of them are held in memory, so their number is
bounded."""
TIGHT, HIGH = 0.75, 0.85
"""Shares of the process's memory limit: above the first no subscription is opened; above the second the prefetch limit
bounds all messages in flight together, so that only one subscription is left."""
AHEAD, AMPLE = 1.5, 3.0
"""Records in flight for each that may be worked on at once: below the first the worker takes more messages, above the
second it can do with fewer."""
_MEMORY_SECONDS = 1.0
"""Says how often the memory is looked at while nothing else changes."""


def subscriptions_wanted(now: int, prefetch: int, work: WorkInFlight, memory: float = 0.0) -> int:
    """Return how many subscriptions of `prefetch` messages there should be: one more or one fewer than `now`, or one
    alone where memory is short. `memory` is the share of the memory limit that is held, 0 where there is no limit.
    Pure."""
    if memory >= HIGH:
        return 1
    if work.messages >= prefetch * now and (work.left <= prefetch / 2 or work.parts_left < AHEAD * work.at_once):
        return now if memory >= TIGHT or now == MOST else now + 1
    ample = work.left > 2 * prefetch and work.parts_left >= AMPLE * work.at_once
    if now > 1 and (ample or 2 * work.messages <= prefetch * (now - 1)):
        return now - 1
    return now


class Subscriptions:
    """Manages the subscriptions of one worker on one queue. `take` takes from a subscription until that is stopped, and
    returns when all that came from it is settled."""

    def __init__(
        self,
        bus: Bus,
        queue: str,
        prefetch: int,
        take: Callable[[Subscription], Awaitable[None]],
        in_flight: InFlightMessages,
    ) -> None:
        self.prefetch = prefetch
        """Messages that each subscription may hold."""
        self._configured = prefetch
        self._bus = bus
        self._queue = queue
        self._take = take
        self._in_flight = in_flight
        self._open: list[Subscription] = []
        self._takers: set[asyncio.Task[None]] = set()
        self._changing = asyncio.Lock()
        self._changed = asyncio.Event()
        self._stopped = False
        self._memory_limit = process_memory.limit()
        in_flight.on_change = self._look

    async def run(self) -> None:
        """Open the first subscription, then further ones and release them, until `stop` is called or taking from one
        fails. Raises `TopologyMissing` where there is no such queue, and what `take` raises."""
        async with self._changing:
            if self._stopped:
                return
            self._begin(await self._bus.subscribe(self._queue, self.prefetch))
        while self._takers and not self._stopped:
            changing = asyncio.ensure_future(self._changed.wait())
            try:
                await asyncio.wait(
                    {changing, *self._takers},
                    timeout=None if self._memory_limit is None else _MEMORY_SECONDS,
                    return_when=asyncio.FIRST_COMPLETED,
                )
            finally:
                changing.cancel()
            self._changed.clear()
            for ended in [task for task in self._takers if task.done()]:
                self._takers.discard(ended)
                ended.result()
            async with self._changing:
                await self._adapt()

    async def resize(self, prefetch: int) -> None:
        """From now on each subscription may hold `prefetch` messages. Messages in flight stay in flight."""
        if prefetch == self.prefetch:
            return
        log.info("prefetch limited", queue=self._queue, prefetch=prefetch, before=self.prefetch)
        self.prefetch = prefetch
        async with self._changing:
            await asyncio.gather(*(subscription.set_prefetch(prefetch) for subscription in self._open))
        self._look()

    async def stop(self) -> None:
        """Take no more messages. Those in flight may still be settled."""
        self._stopped = True
        async with self._changing:
            await asyncio.gather(*(subscription.stop() for subscription in self._open))
        self._changed.set()

    async def close(self) -> None:
        """Give back what is not settled."""
        for task in self._takers:
            task.cancel()
        await asyncio.gather(*self._takers, return_exceptions=True)

    def _begin(self, subscription: Subscription) -> None:
        self._open.append(subscription)
        self._takers.add(asyncio.create_task(self._taken_from(subscription)))

    async def _taken_from(self, subscription: Subscription) -> None:
        try:
            await self._take(subscription)
        finally:
            if subscription in self._open:
                self._open.remove(subscription)
            await subscription.close()

    async def _adapt(self) -> None:
        """Release the subscriptions that are too many, or open one that is lacking."""
        memory = self._memory()
        while self._wanted(memory) < len(self._open):
            await self._open.pop().stop()
        if self._wanted(memory) > len(self._open):
            await self._open_another()

    async def _open_another(self) -> None:
        try:
            more = await self._bus.subscribe(self._queue, self.prefetch)
        except LoomError as error:  # it goes on without it, until something changes again
            log.debug("no further subscription", queue=self._queue, error=str(error))
            return
        work = self._in_flight.work
        log.debug("one more subscription", queue=self._queue, in_flight=work.messages, left=round(work.left, 1))
        self._begin(more)

    def _wanted(self, memory: float = 0.0) -> int:
        """Where the coordinator has lowered the limit, its number is not made up for by more subscriptions than slow
        records ask for."""
        now = len(self._open)
        if self._stopped or not now:
            return now
        work = self._in_flight.work
        if self.prefetch < self._configured:
            work = WorkInFlight(work.messages, work.left)
        return subscriptions_wanted(now, self.prefetch, work, memory)

    def _memory(self) -> float:
        return 0.0 if self._memory_limit is None else process_memory.held() / self._memory_limit

    def _look(self) -> None:
        if self._wanted() != len(self._open):
            self._changed.set()
