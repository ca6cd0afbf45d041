"""Asks the coordinators, when a replica starts, which epochs it has to know.

Batches of a run may wait in a queue that was cancelled while no replica ran. The epoch was broadcast then, and is
repeated every few seconds for a while; a replica that took work before it heard of it would pay for calls of a run
that has ended, and beyond the budget that the run is given when it is resumed."""

from __future__ import annotations

import asyncio
import contextlib

from loom_common import flow
from loom_common.contracts.encoding.codec import encode
from loom_common.contracts.envelope import Outgoing
from loom_common.contracts.v1 import EpochsAsked, EpochsTold
from loom_common.errors import LoomError
from loom_common.logs.logger import log
from loom_common.ports.bus import Bus
from loom_common.service.control.channel import ControlChannel
from loom_common.worker.epoch_guard import EpochGuard

WAIT_SECONDS = 3.0
"""Says how long a replica waits for an answer. None comes where no coordinator runs, or one of an earlier version."""
_ASK_AGAIN_SECONDS = 0.25
"""Says how long it waits until it asks again: a coordinator that starts at the same time may not listen yet."""


class EpochsAtStart:
    """Has the guard of one replica learn what the coordinators answer."""

    def __init__(self, service: str, bus: Bus, control: ControlChannel, guard: EpochGuard) -> None:
        self._service = service
        self._bus = bus
        self._control = control
        self._guard = guard
        self._told = asyncio.Event()
        control.on(EpochsTold, self._hear)

    async def learn(self, stop: asyncio.Event) -> None:
        """Return once the guard has learned, at the latest after `WAIT_SECONDS`, or when `stop` is set."""
        asking = asyncio.create_task(self._ask())
        waiting = [asyncio.create_task(each.wait()) for each in (self._told, stop)]
        try:
            done, _ = await asyncio.wait(waiting, timeout=WAIT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (asking, *waiting):
                task.cancel()
            await asyncio.gather(asking, *waiting, return_exceptions=True)
        if not done:
            log.warning(
                "no coordinator says which runs have ended: work begins without it, and messages of such runs are "
                "dropped once it does",
                waited_s=WAIT_SECONDS,
            )

    async def _ask(self) -> None:
        await self._control.listens.wait()
        question = Outgoing(flow.started(self._service), EpochsAsked(service=self._service), mandatory=False)
        while True:
            with contextlib.suppress(LoomError):  # it is asked again
                await self._bus.publish([encode(question, self._service)])
            await asyncio.sleep(_ASK_AGAIN_SECONDS)

    async def _hear(self, told: EpochsTold) -> None:
        for run_id, epoch in told.epochs.items():
            self._guard.learn(run_id, epoch)
        self._told.set()
