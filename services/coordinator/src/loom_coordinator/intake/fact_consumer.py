"""Turns facts from the bus into run state: a group of deliveries, one transaction, then their acknowledgement."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from loom_common.contracts.encoding.codec import decode
from loom_common.contracts.envelope import Message
from loom_common.contracts.v1 import LoadFinalized, SliceExtracted, SourceSplit, StageFailed
from loom_common.errors import DependencyUnavailable, StateUnusable, UnreadableMessage
from loom_common.flow import FACTS_QUEUE
from loom_common.ports.bus import Bus, Delivery
from loom_common.resilience import failpoints
from loom_common.text import named
from loom_common.worker.failure_messages import dead_letter
from loom_coordinator.db.outbox_relay import OutboxRelay
from loom_coordinator.db.unit_of_work import NAME
from loom_coordinator.intake import apply_facts
from loom_coordinator.intake.micro_batches import GROUP, Pace, groups

log = structlog.get_logger()

PACE_SECONDS = 0.2
"""The time from one group to the next, unless the next is urgent or large. A transaction costs as much as some fifty
facts: few large ones leave the machine to the records. It is less than half of `windows.SECONDS_AHEAD`, so that batches
that have ended make room for others in time."""
_URGENT = frozenset({SourceSplit.type, SliceExtracted.type, LoadFinalized.type, StageFailed.type})
"""Says what somebody waits for: the extractor for its next slice, a user for the end."""
_PARTS = 4
"""A group is large that has a fact for every fourth batch in flight: they may make room for as many others."""
_PAUSE_SECONDS = 1.0


class FactConsumer:
    """Consumes `loom.coordinator.facts`."""

    def __init__(self, bus: Bus, outbox: OutboxRelay) -> None:
        self._bus = bus
        self._outbox = outbox
        self._pace = Pace(PACE_SECONDS, _URGENT)

    async def run(self, stop: asyncio.Event) -> None:
        """Consume facts until `stop`. While the database is away, keep the facts in flight and take no more."""
        subscription = await self._bus.subscribe(FACTS_QUEUE, prefetch=GROUP)
        try:
            async for group in groups(subscription, stop, self._pace):
                await self._take(group)
        finally:
            await subscription.close()

    async def _take(self, group: Sequence[Delivery]) -> None:
        readable = await self._readable(group)
        while True:
            try:
                await self._commit(readable)
                break
            except DependencyUnavailable as error:
                log.warning("facts wait", error=str(error), retry_in_s=_PAUSE_SECONDS)
                await asyncio.sleep(_PAUSE_SECONDS)
        for delivery in group:
            await delivery.ack()

    async def _commit(self, readable: Sequence[tuple[Delivery, Message]]) -> None:
        try:
            async with self._outbox.unit() as unit:
                in_flight = await apply_facts.take(unit, [message for _, message in readable])
                await failpoints.reach("before_commit")
            self._pace.enough = max(1, in_flight // _PARTS)
            await failpoints.reach("after_commit")
        except (DependencyUnavailable, StateUnusable):
            raise
        except Exception as error:
            if len(readable) > 1:
                log.warning("facts are taken one by one", facts=len(readable), error=named(error))
                for one in readable:  # find the one that cannot be taken; the others go through
                    await self._commit([one])
            elif readable:
                delivery, message = readable[0]
                log.exception("fact cannot be taken", type=message.type, run_id=message.correlation_id)
                reason = named(error)
                await self._bus.publish([dead_letter(delivery, reason, NAME)])

    async def _readable(self, group: Sequence[Delivery]) -> list[tuple[Delivery, Message]]:
        readable = []
        for delivery in group:
            try:
                readable.append((delivery, decode(delivery, *apply_facts.ACCEPTED)))
            except UnreadableMessage as error:
                log.warning("unreadable fact set aside", reason=str(error))
                await self._bus.publish([dead_letter(delivery, str(error), NAME)])
        return readable
