"""Groups deliveries, for work that costs much less together than one by one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Literal, Protocol

from loom_common.ports.bus import Delivery, Subscription

GROUP = 200
"""The number of deliveries in a group at most; a subscription's prefetch should be as many."""


class Urgent(Protocol):
    """Decides which deliveries wait for no others."""

    def arrived(self, delivery: Delivery) -> bool:
        """Take note of a delivery. Return whether it, and what has arrived before it, waits no more."""
        ...

    def begin_anew(self, waiting: Iterable[Delivery]) -> None:
        """Take note that all was taken but what is `waiting`."""
        ...

    @property
    def hurries(self) -> bool:
        """Tell whether what has arrived waits no more. It is asked after each group, which may have changed it."""
        ...


class NothingUrgent:
    """Lets all deliveries wait as long as the pace says."""

    hurries = False

    def arrived(self, delivery: Delivery) -> bool:
        return False

    def begin_anew(self, waiting: Iterable[Delivery]) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Pace:
    """Says how a group that follows another closely waits and grows."""

    seconds: float = 0.0
    """The time from the end of one group to the next; the first delivery after a silence waits for nobody."""
    urgent: Urgent = field(default_factory=NothingUrgent)
    """Tells which deliveries do not wait, and take along what has arrived."""


async def groups(
    subscription: Subscription, stop: asyncio.Event, pace: Pace | None = None
) -> AsyncIterator[list[Delivery]]:
    """Yield what has arrived, as soon as anything has. When `stop` is set nothing more is taken, what was taken by then
    still comes, and that is the end.

    A group that follows its predecessor closely waits as `pace` says."""
    arrivals = _Arrivals(subscription, pace or Pace())
    pumping = asyncio.create_task(arrivals.pump())
    stopping = asyncio.create_task(stop.wait())
    resting = asyncio.create_task(asyncio.sleep(0))
    try:
        while not stop.is_set():
            await _first(arrivals.anything, stopping, pumping)
            if not arrivals.anything.is_set():
                break
            await _first(arrivals.hurry, stopping, pumping, resting)
            yield arrivals.taken()
            resting.cancel()
            resting = asyncio.create_task(asyncio.sleep(arrivals.pace.seconds))
            arrivals.see_whether_it_is_enough()
        await subscription.stop()
        await pumping
        while arrivals.anything.is_set():
            yield arrivals.taken()
    finally:
        for task in (pumping, stopping, resting):
            task.cancel()
        await asyncio.gather(pumping, stopping, resting, return_exceptions=True)


class _Arrivals:
    """What has arrived and is not in a group yet."""

    def __init__(self, subscription: Subscription, pace: Pace) -> None:
        self.pace = pace
        self.anything = asyncio.Event()
        self.hurry = asyncio.Event()
        self._subscription = subscription
        self._waiting: list[Delivery] = []

    async def pump(self) -> None:
        async for delivery in self._subscription:
            self._waiting.append(delivery)
            self.anything.set()
            if self.pace.urgent.arrived(delivery) or len(self._waiting) >= GROUP:
                self.hurry.set()

    def see_whether_it_is_enough(self) -> None:
        if self.pace.urgent.hurries or len(self._waiting) >= GROUP:
            self.hurry.set()

    def taken(self) -> list[Delivery]:
        group = self._waiting[:GROUP]
        del self._waiting[:GROUP]
        self.pace.urgent.begin_anew(self._waiting)
        self.hurry.clear()
        if not self._waiting:
            self.anything.clear()
        return group


async def _first(event: asyncio.Event, *tasks: asyncio.Task[Literal[True]] | asyncio.Task[None]) -> None:
    """Wait until the event is set, or one of these tasks is done."""
    if event.is_set():
        return
    waiting = asyncio.create_task(event.wait())
    try:
        await asyncio.wait({waiting, *tasks}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
