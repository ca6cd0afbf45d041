"""What a process knows of its own health: kept up by those who do the work, read by `health` and `metrics`.

Plain values, so that counting costs next to nothing where nobody asks, as in the embedded engine."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence, Sized
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum

from loom_common.worker.in_flight import InFlightMessage

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 1800.0)
"""Seconds. From a batch that only passes through to one that takes all the time a batch may have."""


class MessageOutcome(StrEnum):
    """What became of a message at one attempt."""

    HANDLED = "handled"
    RETRIED = "retried"
    """It waits on a rung of the retry ladder."""
    FAILED = "failed"
    """Set aside: in quarantine, in `loom.dead`, or with it its run."""
    STALE = "stale"
    """Dropped: it belongs to an epoch of its run that is over."""


@dataclass(slots=True)
class Durations:
    """Seconds, counted by the first of `BOUNDS` they do not exceed; the last count is of those beyond all."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    total: float = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds


@dataclass(slots=True)
class ConsumerStats:
    """How it stands with the messages of one queue."""

    queue: str
    in_hand: Sized = ()
    """What is being worked on; the worker's own collection, so that it cannot fall out of step."""
    outcomes: Counter[MessageOutcome] = field(default_factory=lambda: Counter(dict.fromkeys(MessageOutcome, 0)))
    durations: Durations = field(default_factory=Durations)
    worked: float = 0.0
    """Seconds in the handler by the parts of the messages: a batch of which a tenth is left counts as a tenth."""

    def count(self, outcome: MessageOutcome) -> None:
        self.outcomes[outcome] += 1

    @contextmanager
    def timed(self, hand: InFlightMessage) -> Iterator[None]:
        """Counts how long its body takes, however it ends. The message `hand` begins with it."""
        began = time.perf_counter()
        hand.begin()
        before = hand.seconds()
        try:
            yield
        finally:
            self.durations.add(time.perf_counter() - began)
            self.worked += hand.seconds() - before


@dataclass(frozen=True, slots=True)
class Reading:
    """A number that is looked up when somebody asks for it. `name` is the metric's."""

    name: str
    meaning: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


Need = Callable[[], Awaitable[None]]
"""Returns if something the service stands on answers. Raises `DependencyUnavailable` with what is the matter."""

Gauge = Callable[[], Awaitable[Sequence[Reading]]]
"""Looks numbers up. Raises `DependencyUnavailable`."""


@dataclass(slots=True)
class ProcessStats:
    """Of one process. A service says in its `build` what it consumes, what it needs and what it can tell."""

    queues: set[str] = field(default_factory=set)
    """What must be consumed for the service to be ready."""
    consumers: dict[str, ConsumerStats] = field(default_factory=dict)
    needs: dict[str, Need] = field(default_factory=dict)
    """By a name for people: `state database`."""
    gauges: list[Gauge] = field(default_factory=list)

    def consumer(self, queue: str) -> ConsumerStats:
        """The vitals of a worker on `queue`, which from now on must be consumed."""
        self.queues.add(queue)
        return self.consumers.setdefault(queue, ConsumerStats(queue))
