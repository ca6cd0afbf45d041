"""Limits how many calls to a model one process begins, and how many of them are in flight.

A call is in flight from when it is asked until its answer is in the journal: so many are paid again after a crash."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from loom_ai.ports import ModelCall

_BEGUN = 6
"""Calls that are begun, because the journal has no answer, for each that may be in flight: some wait for their turn, or
because an endpoint asked to, and some hang and have lent their place."""


@dataclass(frozen=True, slots=True)
class Slots:
    """Limits the calls to one model at one endpoint."""

    begun: asyncio.Semaphore
    in_flight: asyncio.Semaphore


class CallSlots:
    """Limits the calls of one process, for each model at each endpoint. Pipelines that configure different numbers for
    a model have each their own slots."""

    def __init__(self, usual: int) -> None:
        """Take `usual`, the calls in flight at once to a model whose provider has no `concurrency` configured."""
        self._usual = usual
        self._slots: dict[tuple[str, str, str | None, int | None], Slots] = {}

    def of(self, call: ModelCall) -> Slots:
        """Return the slots that the call takes its own from."""
        key = (call.base_url, call.model, call.api_key, call.concurrency)
        if key not in self._slots:
            most = call.concurrency or self._usual
            self._slots[key] = Slots(asyncio.Semaphore(_BEGUN * most), asyncio.Semaphore(most))
        return self._slots[key]
