"""Credit: how much of a run may be on the way at once. Pure.

The coordinator releases a slice only while the batches in flight leave room for it, so the broker never
holds more than the windows of the running runs, whatever the size of their sources."""

from __future__ import annotations

SLICE_RECORDS = 2_000
"""A slice is about so many records: large enough that asking for it costs nothing beside reading it."""
MOST_BATCHES = 32
WINDOW_SLICES = 4


def slice_batches(batch_size: int) -> int:
    """Batches per slice for a pipeline's batch size."""
    return max(1, min(MOST_BATCHES, SLICE_RECORDS // batch_size))


def window(batches_per_slice: int) -> int:
    """Batches of one run that may be in flight."""
    return max(8, WINDOW_SLICES * batches_per_slice)


def may_release(*, in_flight: int, outstanding: int, batches_per_slice: int, credit_window: int) -> bool:
    """Whether the next slice fits. `outstanding` slices are asked for and not yet answered."""
    return in_flight + (outstanding + 1) * batches_per_slice <= credit_window
