"""Begins calls, and lets who asks for what is being asked already wait for that answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from loom_ai.journal.under_way.call_slots import CallSlots
from loom_ai.journal.under_way.pending_call import PendingCall
from loom_ai.pacing.waiting import Waiting
from loom_ai.ports import Entry, ModelCall, Payer

Obtain = Callable[[PendingCall], Coroutine[Any, Any, Entry]]
"""Brings what a call is made for, from the journal or from the model."""


class CallsUnderWay:
    """Holds the calls of one process that have begun and not ended, by the keys of their answers."""

    def __init__(self, slots: CallSlots) -> None:
        self._slots = slots
        self._pending: dict[str, PendingCall] = {}

    async def landed(
        self, key: str, call: ModelCall, payer: Payer, patience: float | None, obtain: Obtain
    ) -> tuple[PendingCall, Entry]:
        """Return what the call brings that is under way, or that begins now. Raises what the call raises, and `Timeout`
        after `patience` seconds."""
        pending = self._joined(key, payer) or self._start(key, call, payer, obtain)
        return pending, await pending.landed(call, patience)

    def abandoned(self) -> list[asyncio.Task[Entry]]:
        """Cancel every call, and return what is to be awaited until all have ended."""
        tasks = [pending.task for pending in self._pending.values()]
        for task in tasks:
            task.cancel()
        return tasks

    def _start(self, key: str, call: ModelCall, payer: Payer, obtain: Obtain) -> PendingCall:
        pending = self._pending[key] = PendingCall(Waiting(self._slots.of(call).in_flight), [payer])
        task = pending.task = asyncio.create_task(obtain(pending))
        if (usage := payer.usage) is not None:
            usage.under_way.add(task)
            task.add_done_callback(usage.under_way.discard)
        task.add_done_callback(lambda _: self._ended(key, pending))
        return pending

    def _joined(self, key: str, payer: Payer) -> PendingCall | None:
        pending = self._pending.get(key)
        if pending is None or pending.abandoned:
            return None
        if payer.usage is not None and pending.payers[0].run_id == payer.run_id:
            pending.raise_budget(payer.usage.budget)
        pending.payers.append(payer)
        return pending

    def _ended(self, key: str, pending: PendingCall) -> None:
        if self._pending.get(key) is pending:
            del self._pending[key]
        if not pending.task.cancelled():
            pending.task.exception()  # marks it as seen, where everyone who waited was cancelled
