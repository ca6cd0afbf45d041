"""Answers replicas that have just started, and ask which epochs they have to know."""

from __future__ import annotations

import asyncio

from loom_common import flow
from loom_common.contracts.encoding.codec import encode
from loom_common.contracts.envelope import Outgoing
from loom_common.contracts.v1 import EpochsAsked, EpochsTold
from loom_common.errors import LoomError
from loom_common.logs.logger import log
from loom_common.ports.bus import Bus
from loom_coordinator.db.outbox_relay import OutboxRelay
from loom_coordinator.db.unit_of_work import NAME
from loom_coordinator.flow_control.event_listener import listening
from loom_coordinator.sweeping import epochs


class EpochAnswers:
    """Hears every replica that starts, on a queue of this coordinator's own. Those that ask at the same time are
    answered by one look at the runs, and those of one service by one message."""

    def __init__(self, bus: Bus, outbox: OutboxRelay) -> None:
        self._bus = bus
        self._outbox = outbox
        self._waiting: set[str] = set()
        self._asked = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Answer the replicas that ask, until `stop` is set."""
        async with listening(self._bus, "worker.started.*", EpochsAsked, self._hear) as receiving:
            stopping = asyncio.create_task(stop.wait())
            try:
                while not stop.is_set():
                    asked = asyncio.create_task(self._asked.wait())
                    await asyncio.wait({stopping, receiving, asked}, return_when=asyncio.FIRST_COMPLETED)
                    asked.cancel()
                    if receiving.done():
                        return receiving.result()
                    await self._answer()
            finally:
                stopping.cancel()

    def _hear(self, asked: EpochsAsked) -> None:
        self._waiting.add(asked.service)
        self._asked.set()

    async def _answer(self) -> None:
        """Answer those who wait. What cannot be answered now is asked again."""
        self._asked.clear()
        waiting, self._waiting = self._waiting, set()
        if not waiting:
            return
        try:
            async with self._outbox.unit() as unit:
                told = EpochsTold(epochs=await epochs.at_start(unit))
            answers = [Outgoing(flow.control(service), told, mandatory=False) for service in sorted(waiting)]
            await self._bus.publish([encode(each, NAME) for each in answers])
        except LoomError as error:
            log.warning("replicas that have started are not told which runs have ended", error=str(error))
