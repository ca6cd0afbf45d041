"""Turns facts from the bus into run state: a group of deliveries, one transaction, then their acknowledgement."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from loom_common.contracts.encoding.codec import decode
from loom_common.contracts.envelope import Message
from loom_common.contracts.v1 import (
    BatchFacts,
    DestinationChecked,
    LoadFinalized,
    PlaceFound,
    SourceChecked,
    SourceSplit,
    StageFailed,
)
from loom_common.errors import DependencyUnavailable, StateUnusable, UnreadableMessage
from loom_common.flow import FACTS_QUEUE
from loom_common.logs.logger import log
from loom_common.ports.bus import Bus, Delivery
from loom_common.ports.tracing import tracer
from loom_common.resilience import failpoints
from loom_common.text import named
from loom_common.worker.failure_messages import dead_letter
from loom_coordinator.db.outbox_relay import OutboxRelay
from loom_coordinator.db.unit_of_work import NAME
from loom_coordinator.intake import apply_facts
from loom_coordinator.intake.micro_batches import GROUP, Pace, groups
from loom_coordinator.intake.place_answers import PlaceAnswers
from loom_coordinator.intake.urgency import Urgency

PACE_SECONDS = 0.2
"""The time from one group to the next, unless something follows from the next. A transaction costs as much as some
fifty facts: few large ones leave the machine to the records. It is less than half of `windows.SECONDS_AHEAD`, so that
batches that have ended make room for others in time."""
_URGENT = frozenset(
    kind.type
    for kind in (
        SourceChecked,
        DestinationChecked,
        SourceSplit,
        PlaceFound,
        LoadFinalized,
        StageFailed,
    )
)
"""Says what somebody always waits for: a first slice, or the end."""
_PAUSE_SECONDS = 1.0


class FactConsumer:
    """Consumes `loom.coordinator.facts`."""

    def __init__(self, bus: Bus, outbox: OutboxRelay, places: PlaceAnswers) -> None:
        self._bus = bus
        self._outbox = outbox
        self._places = places
        self._urgency = Urgency(_URGENT)

    async def run(self, stop: asyncio.Event) -> None:
        """Consume facts until `stop`. While the database is away, keep the facts in flight and take no more."""
        subscription = await self._bus.subscribe(FACTS_QUEUE, prefetch=GROUP)
        try:
            async for group in groups(subscription, stop, Pace(PACE_SECONDS, self._urgency)):
                await self._take(group)
        finally:
            await subscription.close()

    async def _take(self, group: Sequence[Delivery]) -> None:
        readable = await self._readable(group)
        placed = [message for _, message in readable if isinstance(message, PlaceFound)]
        others = [each for each in readable if not isinstance(each[1], PlaceFound)]
        while True:
            try:
                while placed:
                    await self._places.take(placed[0])
                    del placed[0]
                if others:
                    await self._commit(others)
                break
            except DependencyUnavailable as error:
                log.warning("facts wait", error=str(error), retry_in_s=_PAUSE_SECONDS)
                await asyncio.sleep(_PAUSE_SECONDS)
        for delivery in group:
            await delivery.ack()

    async def _commit(self, readable: Sequence[tuple[Delivery, Message]]) -> None:
        try:
            sent_in = {id(delivery): delivery.headers for delivery, _ in readable}.values()
            messages = [message for _, message in readable]
            with tracer().together(f"process {FACTS_QUEUE}", sent_in):
                async with self._outbox.unit() as unit:
                    awaited = await apply_facts.take(unit, messages)
                    await failpoints.reach("before_commit")
            self._urgency.follows(messages, awaited)
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
        readable: list[tuple[Delivery, Message]] = []
        for delivery in group:
            try:
                message = decode(delivery, *apply_facts.ACCEPTED, BatchFacts, PlaceFound)
            except UnreadableMessage as error:
                log.warning("unreadable fact set aside", reason=str(error))
                await self._bus.publish([dead_letter(delivery, str(error), NAME)])
            else:
                readable += [(delivery, each) for each in _apart(message)]
        return readable


def _apart(message: Message) -> Sequence[Message]:
    return message.facts if isinstance(message, BatchFacts) else (message,)
