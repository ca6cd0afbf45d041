"""Credit: how much of a run may be on the way at once. Pure.

The coordinator releases a slice only while the batches in flight leave room for it, so the broker never
holds more than the windows of the running runs, whatever the size of their sources. Runs that are under way together
share one window by weight; a newcomer weighs more until it has had its first few windows, so that a small run
beside a hundredfold larger one is done before the large one would notice."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

SLICE_RECORDS = 2_000
"""A slice is about so many records: large enough that asking for it costs nothing beside reading it."""
MOST_BATCHES = 32
WINDOW_SLICES = 4
OPENING_SECONDS = 10.0
"""A run is young for so long; then `windows.py` knows what the fleet can do."""
OPENING_BATCHES = 16
OPENING_AHEAD = 0.5
NEWCOMER_WINDOWS = 4
"""How many of its windows a run is a newcomer for."""
NEWCOMER_FACTOR = 4.0


def slice_batches(batch_size: int) -> int:
    """Batches per slice for a pipeline's batch size."""
    return max(1, min(MOST_BATCHES, SLICE_RECORDS // batch_size))


def window(batches_per_slice: int) -> int:
    """Batches of a run that may be in flight while it is alone."""
    return max(8, WINDOW_SLICES * batches_per_slice)


def opening_window(done: int, seconds: float) -> int:
    """Batches of a young run that may be in flight: `done` of it have ended in the `seconds` since it began. It begins
    with enough to see how fast it goes, then has what is worked off in `OPENING_AHEAD` seconds."""
    return OPENING_BATCHES + math.ceil(OPENING_AHEAD * done / max(seconds, OPENING_AHEAD))


@dataclass(frozen=True, slots=True)
class CreditState:
    """What counts for a run's share."""

    priority: int
    """1 to 10; a run of priority 10 weighs twice one of 5."""
    released: int
    """Batches asked for so far."""
    window: int
    """What it may have in flight while it is alone."""

    @property
    def weight(self) -> float:
        """Its claim on the common window."""
        newcomer = self.released < NEWCOMER_WINDOWS * self.window
        return self.priority * (NEWCOMER_FACTOR if newcomer else 1.0)


def shared_windows(runs: Mapping[str, CreditState]) -> dict[str, int]:
    """Every running run's window: its own, by its share of the weights. Never less than one batch."""
    total = sum(run.weight for run in runs.values())
    return {name: max(1, round(run.window * run.weight / total)) for name, run in runs.items()}


def next_slice(*, in_flight: int, outstanding: int, batches_per_slice: int, credit_window: int) -> int:
    """How many batches the next slice may have: 0 while there is no room. `outstanding` batches are asked for and
    not yet answered. Under a narrow window slices get smaller, so that it is still filled in two steps."""
    wanted = max(1, min(batches_per_slice, credit_window // 2))
    return wanted if in_flight + outstanding + wanted <= credit_window else 0
