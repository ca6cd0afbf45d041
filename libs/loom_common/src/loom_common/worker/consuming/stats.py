"""Counts what a process knows of its own health. Workers update it; `health`, `metrics` and heartbeats read it.

The values are plain numbers, so that counting costs almost nothing in the embedded engine, where they are not read."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from enum import StrEnum
from types import TracebackType

from loom_common.ports.tracing import SpanReference, tracer
from loom_common.worker.consuming.in_flight import InFlightMessage

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 1800.0)
"""Holds the upper bounds of the buckets, in seconds. They reach from a batch that only passes through to
one that takes all the time a batch may have."""


class MessageOutcome(StrEnum):
    """Lists what may become of a message at one attempt."""

    HANDLED = "handled"
    RETRIED = "retried"
    """The message waits in a retry queue."""
    FAILED = "failed"
    """The message went to the quarantine or to `loom.dead`, or its run failed."""
    STALE = "stale"
    """The message was dropped, because it belongs to an earlier epoch of its run."""


@dataclass(frozen=True, slots=True)
class Exemplar:
    """Describes one value of a histogram, and the span in which it was measured."""

    value: float
    span: SpanReference
    at: float = field(default_factory=time.time)
    """Says when it was measured, in seconds since 1970."""


Exemplars = Mapping[int, Exemplar]
"""Holds the newest exemplar of each bucket that has one, by the bucket's position."""


@dataclass(slots=True)
class Durations:
    """Seconds, counted by the first of `BOUNDS` they do not exceed; the last count is of those beyond all."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    total: float = 0.0
    exemplars: dict[int, Exemplar] = field(default_factory=dict)

    def add(self, seconds: float, span: SpanReference | None = None) -> None:
        """Count one value, measured in `span` where that is recorded."""
        bucket = bisect_left(BOUNDS, seconds)
        self.counts[bucket] += 1
        self.total += seconds
        if span is not None:
            self.exemplars[bucket] = Exemplar(seconds, span)


@dataclass(slots=True)
class ConsumerStats:
    """Counts what a worker does with the messages of one queue."""

    queue: str
    in_flight: Sized = ()
    """Holds the tasks of messages in flight. It is the worker's own collection, so that its length is always right."""
    outcomes: Counter[MessageOutcome] = field(default_factory=lambda: Counter(dict.fromkeys(MessageOutcome, 0)))
    durations: Durations = field(default_factory=Durations)
    worked: float = 0.0
    """The number of seconds in the handler, weighted by the share of each message that is left: a batch with a tenth
    left counts as a tenth."""

    def count(self, outcome: MessageOutcome) -> None:
        self.outcomes[outcome] += 1

    def timed(self, message: InFlightMessage, run_id: str = "") -> _Timed:
        """Begin `message`, which belongs to the run `run_id`, and count how long the block takes, also where it
        raises."""
        return _Timed(self, message, run_id)


class _Timed:
    """Counts how long a block takes. It is a class, because every message passes it, and a generator takes longer."""

    __slots__ = ("_before", "_began", "_message", "_run_id", "_stats")

    def __init__(self, stats: ConsumerStats, message: InFlightMessage, run_id: str) -> None:
        self._stats = stats
        self._message = message
        self._run_id = run_id
        self._began = self._before = 0.0

    def __enter__(self) -> None:
        self._began = time.perf_counter()
        self._message.begin()
        self._before = self._message.seconds()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        stats = self._stats
        stats.durations.add(time.perf_counter() - self._began, tracer().reference(self._run_id))
        stats.worked += self._message.seconds() - self._before


@dataclass(frozen=True, slots=True)
class Reading:
    """Describes a number that is looked up when somebody asks for it. `name` is the metric's."""

    name: str
    meaning: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)
    counter: bool = False
    """Says whether it only grows while the process lives."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """Describes a histogram that is looked up when somebody asks for it. `name` is the metric's."""

    name: str
    meaning: str
    bounds: Sequence[float]
    """Holds the upper bounds of the buckets."""
    counts: Sequence[int]
    """The number of values in each bucket, not added up; the last one counts those beyond all bounds."""
    total: float
    """Is the sum of all values."""
    labels: Mapping[str, str] = field(default_factory=dict)
    exemplars: Exemplars = field(default_factory=dict)


Need = Callable[[], Awaitable[None]]
"""Returns if something the service stands on answers. Raises `DependencyUnavailable` with what is the matter."""

Gauge = Callable[[], Awaitable[Sequence[Reading | Distribution]]]
"""Looks numbers up. Raises `DependencyUnavailable`."""


@dataclass(slots=True)
class ProcessStats:
    """Holds the counts and needs of one process. A service registers in its `build` what it consumes, needs and
    measures."""

    queues: set[str] = field(default_factory=set)
    """Says what must be consumed for the service to be ready."""
    consumers: dict[str, ConsumerStats] = field(default_factory=dict)
    needs: dict[str, Need] = field(default_factory=dict)
    """Holds the needs by a name for people: `state database`."""
    gauges: list[Gauge] = field(default_factory=list)

    def consumer(self, queue: str) -> ConsumerStats:
        """Return the stats of the worker on `queue`. From then on the process is ready only while that is consumed."""
        self.queues.add(queue)
        return self.consumers.setdefault(queue, ConsumerStats(queue))
