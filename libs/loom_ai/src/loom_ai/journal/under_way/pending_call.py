"""Describes a call that is under way, and those who wait for what it brings."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from time import monotonic

from loom_ai.pacing.waiting import Waiting
from loom_ai.ports import Entry, ModelCall, Payer
from loom_common.domain.run.budget import Budget
from loom_common.domain.values.urls import redacted
from loom_common.errors import Timeout


@dataclass(slots=True)
class PendingCall:
    """Represents one call under way. Where no record waits for it any more, it goes on if it was sent, and is cancelled
    if it was not."""

    waiting: Waiting
    payers: list[Payer]
    """The records that want it, in the order they came."""
    budget: Budget | None = None
    """Of the run that pays for it, as the last one of its records to join has it: it may have been raised meanwhile."""
    task: asyncio.Task[Entry] = field(init=False)
    abandoned: bool = False
    """Tells whether it ends without being sent, so that the next record that wants it begins anew."""
    asked: bool = False
    """Tells whether a model was asked, and answered; else what it brings was found."""
    _waiters: int = 0

    def raise_budget(self, budget: Budget | None) -> None:
        """Raise the budget, because another record of the run wants the answer, whose batch was sent with that
        budget."""
        if budget is not None and (self.budget is None or budget.covers_more(self.budget)):
            self.budget = budget

    async def landed(self, call: ModelCall, patience: float | None) -> Entry:
        """Return what it brings. Gives up after `patience` seconds, in which the time it waits for its turn does not
        count.

        Raises what the call raises, and `Timeout`."""
        self._waiters += 1
        try:
            return await self._landed(call, patience)
        finally:
            self._waiters -= 1
            if not self._waiters and self.waiting.idle and not self.task.done():
                self.abandoned = self.task.cancel()

    async def _landed(self, call: ModelCall, patience: float | None) -> Entry:
        if patience is None:
            return await asyncio.shield(self.task)
        began, waited = monotonic(), self.waiting.seconds()
        left = patience
        while left > 0:
            if await _ended(self.task, left):
                return self.task.result()
            left = patience - (monotonic() - began) + (self.waiting.seconds() - waited)
        place = f"model {call.model} at {redacted(call.base_url)}"
        raise Timeout(f"{place}: an answer took longer than {patience:g} s; see `timeouts.record`.")


async def _ended(task: asyncio.Task[Entry], seconds: float) -> bool:
    """Wait for the end of a task, for so long. Tell whether it has ended. It costs half of `asyncio.wait`, which waits
    for any number of tasks."""
    if task.done():
        return True
    loop = asyncio.get_running_loop()
    waiter: asyncio.Future[None] = loop.create_future()

    def wake(_: object = None) -> None:
        if not waiter.done():
            waiter.set_result(None)

    task.add_done_callback(wake)
    timer = loop.call_later(seconds, wake)
    try:
        await waiter
    finally:
        timer.cancel()
        task.remove_done_callback(wake)
    return task.done()
