"""Runs what a plan says about a stage on the records of a batch, so that one record harms no others.

The order of the limits, from the outside to the inside: the time of the batch; isolation, which takes the records of a
batch one by one after it has taken a process down; narrowing, which finds the record that an unforeseen error belongs
to; and further attempts at the records that failed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from cachetools import LRUCache

from loom_common.domain.run.attempts import Attempt
from loom_common.domain.run.plan import Plan
from loom_common.domain.values.plural import counted
from loom_common.errors import RecordError
from loom_common.ports.clock import Clock
from loom_common.user_code.narrowing import narrowed
from loom_common.user_code.poison_isolation import Identified, Isolation, Risk
from loom_common.user_code.record_retry import retried
from loom_common.user_code.time_limits import within

R = TypeVar("R", bound=Identified)
O = TypeVar("O")  # noqa: E741 - an outcome
V = TypeVar("V")

KEPT_READY = 32
"""The number of plans whose values are kept ready."""


class Plans(Protocol):
    """Gives plans by their hash."""

    async def get(self, plan_hash: str) -> Plan:
        """Return the plan of that hash. Raises `PermanentError`, `DependencyUnavailable`."""
        ...


@dataclass(frozen=True, slots=True)
class Work(Generic[R, O]):
    """Describes what a stage does to the records of one batch."""

    attempt: Callable[[Sequence[R], int], Awaitable[Sequence[O]]]
    """One outcome per record, in order. Is told how often the records were tried before."""
    failed: Callable[[O], bool]
    """Tells whether a record with that outcome may be tried again."""
    joined: Callable[[O, O], O]
    """The outcome of an earlier attempt and of a later one, as one."""
    kept_away: Callable[[R, RecordError], O]
    """The outcome of a record that must not be processed, or that an unforeseen error belongs to."""
    risk: Risk | None
    """What the work is to the process it runs in; None for none."""
    max_attempts: int
    """Limits the attempts at a record, the first one counted."""
    seconds: float
    """Says what the batch may take."""
    rounds: Callable[[Sequence[R]], Sequence[Sequence[int]]] | None = None
    """Gives the places of the records that may be processed side by side, one round after the other; None for all at
    once."""


class StageRunner(Generic[V]):
    """Runs one stage in one process. It keeps the value that the stage makes of a plan (a transform, the evaluators)
    ready for the plan's next batches."""

    def __init__(self, plans: Plans, make: Callable[[Plan], V], isolation: Isolation) -> None:
        """`make` may block: it is called in a thread, once per plan."""
        self._plans = plans
        self._make = make
        self._isolation = isolation
        self._ready: LRUCache[str, V] = LRUCache(KEPT_READY)
        self._making = asyncio.Lock()

    async def of(self, plan_hash: str) -> tuple[Plan, V]:
        """Return the plan of that hash and its value. Raises what `Plans.get` and making the value raise."""
        plan = await self._plans.get(plan_hash)
        async with self._making:
            if plan_hash not in self._ready:
                self._ready[plan_hash] = await asyncio.to_thread(self._make, plan)
            return plan, self._ready[plan_hash]

    async def run(
        self, batch_id: str, records: Sequence[R], work: Work[R, O], attempt: Attempt, clock: Clock
    ) -> list[O]:
        """Return one outcome per record, in order. Raises `Timeout` where the batch takes too long, and the verdicts
        (`LoomError`) that the work raises."""

        async def recovered(some: Sequence[R]) -> list[O]:
            return await retried(
                some, work.attempt, work.failed, work.joined, max_attempts=work.max_attempts, clock=clock
            )

        async def each(some: Sequence[R]) -> list[O]:
            if work.rounds is None:
                return await narrowed(some, recovered, work.kept_away)
            outcomes: dict[int, O] = {}
            for places in work.rounds(some):
                made = await narrowed([some[place] for place in places], recovered, work.kept_away)
                outcomes.update(zip(places, made, strict=True))
            return [outcomes[place] for place in range(len(some))]

        async with within(work.seconds, f"A batch of {counted(len(records), 'record')}", "timeouts.batch"):
            if work.risk is None:
                return await each(records)
            return await self._isolation.each(batch_id, records, each, work.kept_away, work.risk, attempt)
