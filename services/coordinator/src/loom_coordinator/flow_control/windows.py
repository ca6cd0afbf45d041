"""Decides how many batches of a run may be between its source and its destination. Pure: values in, numbers out.

Two things bound a run. Its *window* is how many of its batches may be on the way at once; *credit* is what is left of
the window, and the coordinator asks for a slice only where credit allows. So the broker never holds more than the
windows of the running runs, whatever the size of their sources.

The window begins narrow (`opening_window`), follows what the fleet can do (`paced_window`), and is shared with the
other running runs by weight (`shared_windows`). Queues are first in, first out: whatever one run has in them stands
before the first batch of the next run, so a wide window is of use only while its batches are worked off soon."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from loom_common.domain.definition.pipeline import Pipeline
from loom_common.domain.definition.transforms.ai import AiTransformConfig

SLICE_RECORDS = 8_000
"""A slice is about so many records: large enough that asking for it costs little beside reading it. A cluster takes 12
ms to ask for the next one, in which no extractor reads; 8,000 records of 200 bytes are read in 80 ms. How many bytes it
may have is said by the pipeline (`extract.slice_mb`)."""
MOST_BATCHES = 64
SLOW_BATCHES = 32
"""A slice has no more batches than that while the run ends no more in `SLICE_SECONDS`. So its window is filled up
before half of it is empty: each place in it may keep a model busy."""
SLICE_SECONDS = 0.25
WINDOW_SLICES = 4
WINDOW_BATCHES = 128
"""The most batches in a window."""
OPENING_SECONDS = 10.0
"""The window of a run begins narrow for so long; then it is known what the fleet can do."""
OPENING_BATCHES = 16
SECONDS_AHEAD = 0.5
"""Says how long the batches that wait in queues may wait there, in seconds."""
IN_FLIGHT_FACTOR = 1.25
"""The number of batches per message that the slowest stage may have in flight: that message, and a part of the one
that replaces it."""
NEWCOMER_WINDOWS = 4
"""Says how many of its windows a run is a newcomer for."""
NEWCOMER_FACTOR = 4.0


def slice_batches(batch_size: int) -> int:
    """Return the batches per slice for a pipeline's batch size."""
    return max(1, min(MOST_BATCHES, SLICE_RECORDS // batch_size))


def full_window(batches_per_slice: int) -> int:
    """Return the most batches of a run that may be in flight."""
    return max(8, min(WINDOW_BATCHES, WINDOW_SLICES * batches_per_slice))


def batch_window(pipeline: Pipeline) -> int | None:
    """Return the batches of records that may wait for the batches of a model provider; None for a pipeline that asks
    its models directly. A record that waits occupies no worker, and the more wait, the fewer batches are paid for."""
    evaluate, transform = pipeline.evaluate, pipeline.transform
    sections = [transform.execution] if isinstance(transform, AiTransformConfig) else []
    sections += [evaluate.execution] if evaluate is not None else []
    records = [each.window for each in sections if each.batch_deadline is not None]
    return max(1, max(records) // pipeline.extract.batch_size) if records else None


def opening_window(done: int, seconds: float) -> int:
    """Return batches of a young run that may be in flight: `done` of it have ended in the `seconds` since it began. It
    begins with enough to see how fast it goes, then has what is worked off in `SECONDS_AHEAD` seconds."""
    return OPENING_BATCHES + math.ceil(SECONDS_AHEAD * ended_per_second(done, seconds))


def ended_per_second(done: int, seconds: float) -> float:
    """Return how many batches of a run end per second: `done` have ended in the `seconds` since it began."""
    return done / max(seconds, SECONDS_AHEAD)


@dataclass(frozen=True, slots=True)
class StageThroughput:
    """Says what the replicas of one stage can do, all together."""

    in_flight: int
    """The number of messages that they may have in flight."""
    handled: float
    """The number of messages that they handle per second."""


def own_throughput(done: int, seconds: float) -> list[StageThroughput]:
    """Return what the stages have done for a run of which `done` batches have ended in the `seconds` since it began, as
    long as it is young; nothing for an older one."""
    return [StageThroughput(0, ended_per_second(done, seconds))] if seconds < OPENING_SECONDS else []


def paced_window(full: int, stages: Sequence[StageThroughput]) -> int:
    """Return the window of a run that could use `full` batches: what keeps the stages busy, by Little's law, and no
    more. It is `full` where nothing is known of any stage."""
    if not stages:
        return full
    in_flight = max(each.in_flight for each in stages)
    handled = max(each.handled for each in stages)
    return max(1, min(full, math.ceil(IN_FLIGHT_FACTOR * in_flight + SECONDS_AHEAD * handled)))


@dataclass(frozen=True, slots=True)
class CreditState:
    """Holds what counts for a run's share."""

    priority: int
    """1 to 10; a run of priority 10 weighs twice one of 5."""
    released: int
    """The number of batches asked for so far."""
    window: int
    """Says what it may have in flight while it is alone."""

    @property
    def weight(self) -> float:
        """Return the run's claim on the common window."""
        newcomer = self.released < NEWCOMER_WINDOWS * self.window
        return self.priority * (NEWCOMER_FACTOR if newcomer else 1.0)


def shared_windows(runs: Mapping[str, CreditState]) -> dict[str, int]:
    """Return every running run's window: its own, by its share of the weights. Never less than one batch."""
    total = sum(run.weight for run in runs.values())
    return {name: max(1, round(run.window * run.weight / total)) for name, run in runs.items()}


def slice_size(*, batches_per_slice: int, credit_window: int, partitions: int = 1, per_second: float = 0.0) -> int:
    """Return how many batches the next slice may have, of a run of which `per_second` end. Under a narrow window slices
    get smaller, so that it is still filled in two steps. So they do where several `partitions` share it, to a quarter
    of a slice at least, so that there is room for one of each."""
    share = max(credit_window // (2 * partitions), batches_per_slice // 4)
    soon = max(SLOW_BATCHES, math.ceil(SLICE_SECONDS * per_second))
    return max(1, min(batches_per_slice, credit_window // 2, share, soon))


@dataclass(frozen=True, slots=True)
class Awaited:
    """Says what has to come before anything more follows for a run."""

    ends: int
    """The number of batches that must end."""
    answer: bool = False
    """Tells whether a slice must be answered besides. Else each answer may be followed by something, too."""
    asked: int = 0
    """The number of batches that the slices were asked for with which are not answered. Where an answer brings fewer,
    there is room for the next slice earlier than `ends` says."""


def ends_awaited(*, in_flight: int, outstanding: int, wanted: int, credit_window: int) -> int:
    """Return how many batches must end before a slice of `wanted` batches fits into the window: 0 where it fits.
    `outstanding` batches are asked for and not yet answered."""
    return max(0, in_flight + outstanding + wanted - credit_window)
