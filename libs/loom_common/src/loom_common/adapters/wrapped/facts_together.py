"""Publishes the facts of batches that end at the same moment as one message.

A loader commits several batches by one transaction, and tells a fact of each. Each message costs its sender, the broker
and the coordinator as much as some ten records. Facts are put together only while all coordinators that are heard say
that they read such messages: one of an earlier version does not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from time import monotonic

from loom_common.adapters.wrapped.wrapped_bus import WrappedBus
from loom_common.contracts.v1 import BatchFact, BatchFacts, PrefetchLimit
from loom_common.domain.values.ids import message_id
from loom_common.flow import Exchange
from loom_common.ports.bus import Bus, Delivery, Wire

MOST = 16
"""The most facts in a message."""
LARGEST = 2048
"""The most bytes of a fact that is put together with others: those of records that are only moved have some 600."""
READS_TOGETHER = "loom-reads-facts-together"
"""The header of a coordinator's prefetch limits that says that it reads such messages."""
COUNT = "loom-facts"
"""The header of such a message that says how many facts it has."""
APART_SECONDS = 10.0
"""Facts are published each for itself for so many seconds after a coordinator was heard that does not read them
together. Each coordinator is heard every three seconds."""
HEARD_SECONDS = 30.0
"""A coordinator that was not heard for so many seconds is not counted on any more."""


class Readers:
    """Knows whether all coordinators read facts that are put together."""

    def __init__(self, now: Callable[[], float] = monotonic) -> None:
        self._now = now
        self._reads_until = self._apart_until = now()

    def hear(self, delivery: Delivery) -> None:
        """Take note of what is said to every replica."""
        if delivery.type != PrefetchLimit.type:
            return
        if delivery.headers.get(READS_TOGETHER):
            self._reads_until = self._now() + HEARD_SECONDS
        else:
            self._apart_until = self._now() + APART_SECONDS

    @property
    def all_read(self) -> bool:
        """Tell whether facts may be put together now."""
        return self._apart_until <= self._now() < self._reads_until


class FactsTogether(WrappedBus):
    """Passes everything on to another bus, but facts that are published alone: those of one turn of the event loop and
    of one run become one message. Who publishes a fact waits for the confirm of the message that it is in."""

    def __init__(self, bus: Bus, readers: Readers) -> None:
        super().__init__(bus)
        self._readers = readers
        self._waiting: list[Wire] = []
        self._last: asyncio.Task[None] | None = None
        self._publishing: set[asyncio.Task[None]] = set()

    async def publish(self, messages: Sequence[Wire]) -> None:
        if len(messages) != 1 or not self._may_wait(messages[0]):
            await self._bus.publish(messages)
            return
        if self._last is None or not self._waiting or len(self._waiting) == MOST:
            self._waiting = []
            self._last = asyncio.create_task(self._publish(self._waiting))
            self._publishing.add(self._last)
            self._last.add_done_callback(self._publishing.discard)
        self._waiting.append(messages[0])
        await asyncio.shield(self._last)

    def _may_wait(self, message: Wire) -> bool:
        """Tell whether it is a small fact on its way to the coordinators, and no one that is set aside as it came."""
        is_fact = message.type == BatchFact.type and message.exchange == Exchange.EVENTS
        return is_fact and 0 < len(message.body) <= LARGEST and self._readers.all_read

    async def _publish(self, waiting: list[Wire]) -> None:
        await asyncio.sleep(0)  # those that are about to be published join
        if self._waiting is waiting:
            self._waiting = []
        of_runs: dict[tuple[str, str], list[Wire]] = {}
        for message in waiting:
            of_runs.setdefault((message.routing_key, message.correlation_id), []).append(message)
        await self._bus.publish([_together(facts) for facts in of_runs.values()])


def _together(facts: Sequence[Wire]) -> Wire:
    first = facts[0]
    if len(facts) == 1:
        return first
    headers: dict[str, str | int] = {**first.headers, COUNT: len(facts)}
    return replace(
        first,
        type=BatchFacts.type,
        message_id=message_id(BatchFacts.type, *(fact.message_id for fact in facts)),
        body=b'{"facts":[%b]}' % b",".join(fact.body for fact in facts),
        headers=headers,
        message=None,
    )
