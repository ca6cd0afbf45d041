"""Decides which facts do not wait for others to be taken together with them. Pure.

Somebody waits for what follows from a fact: an extractor for its next slice, a user for the end of a run. Where nothing
can follow before so many batches have ended, the answer of a slice waits for these ends: each transaction costs as much
as some fifty facts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from loom_common.adapters.wrapped.facts_together import COUNT
from loom_common.contracts.envelope import Message
from loom_common.contracts.v1 import SliceExtracted
from loom_common.flow import Stage
from loom_common.ports.bus import Delivery
from loom_coordinator.flow_control.windows import Awaited

_BEFORE_THE_LOAD = tuple(f"batch.{stage.done}." for stage in Stage if stage is not Stage.LOAD)


class Urgency:
    """Knows what has arrived of each run, and what its runs wait for."""

    def __init__(self, urgent: Collection[str] = ()) -> None:
        """Take the types of messages that never wait."""
        self._urgent = urgent
        self._awaited: dict[str, Awaited] = {}
        self._short: set[str] = set()
        """Holds the runs whose last slice had fewer batches than it was asked for with."""
        self._ends: Counter[str] = Counter()
        self._answered: set[str] = set()
        self._is_urgent = False

    def arrived(self, delivery: Delivery) -> bool:
        """Take note of a delivery. Return whether it, and what has arrived before it, waits no more."""
        run_id = delivery.correlation_id or ""
        if delivery.type in self._urgent:
            self._is_urgent = True
        elif delivery.type == SliceExtracted.type:
            self._answered.add(run_id)
        elif may_end_a_batch(delivery):
            together = delivery.headers.get(COUNT)
            self._ends[run_id] += together if isinstance(together, int) else 1
        return self._is_urgent or self._due(run_id)

    def begin_anew(self, waiting: Iterable[Delivery]) -> None:
        """Take note that all was taken but what is `waiting`."""
        self._ends.clear()
        self._answered.clear()
        self._is_urgent = False
        for delivery in waiting:
            self.arrived(delivery)

    def follows(self, taken: Iterable[Message], awaited: Mapping[str, Awaited | None]) -> None:
        """Learn what the runs of the facts that were `taken` wait for after them. Where a run waits for nothing, each
        of its answers is urgent."""
        for fact in taken:
            if isinstance(fact, SliceExtracted) and (asked := self._awaited.get(fact.run_id)) is not None:
                keep = self._short.add if len(fact.batches) < asked.asked else self._short.discard
                keep(fact.run_id)
        for run_id, what in awaited.items():
            if what is None:
                self._awaited.pop(run_id, None)
                self._short.discard(run_id)
            else:
                self._awaited[run_id] = what

    @property
    def hurries(self) -> bool:
        """Tell whether what has arrived waits no more."""
        return self._is_urgent or any(self._due(run_id) for run_id in {*self._answered, *self._ends})

    def _due(self, run_id: str) -> bool:
        awaited = self._awaited.get(run_id)
        answered = run_id in self._answered
        if answered and (awaited is None or not awaited.answer or run_id in self._short):
            return True
        return awaited is not None and self._ends[run_id] >= awaited.ends and (answered or not awaited.answer)


def may_end_a_batch(delivery: Delivery) -> bool:
    """Tell whether the fact may be the last of its batch: a stage before the load, with records that go on, has told
    nothing that anyone waits for."""
    return not delivery.routing_key.startswith(_BEFORE_THE_LOAD)
