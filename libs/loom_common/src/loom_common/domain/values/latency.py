"""Computes latency percentiles of any number of records in bounded memory, from logarithmic buckets that can be merged.

As in HdrHistogram and DDSketch, a bucket's width is a fixed share of its value. Every percentile is exact to within
that share (here 5 %), and histograms are merged by adding counts."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping

_GROWTH = math.log(1.1)
_FLOOR = 1e-6


def bucket_of(seconds: float) -> int:
    """Return the bucket of a duration. Bucket 0 holds everything up to a microsecond."""
    return max(0, math.ceil(math.log(max(seconds, _FLOOR) / _FLOOR) / _GROWTH - 1e-9))


def histogram(durations: Iterable[float]) -> dict[int, int]:
    """Count durations (seconds) per bucket."""
    counts: dict[int, int] = {}
    for seconds, count in Counter(durations).items():
        bucket = bucket_of(seconds)
        counts[bucket] = counts.get(bucket, 0) + count
    return counts


def merge(into: dict[int, int], other: Mapping[int, int]) -> dict[int, int]:
    """Add the counts of `other` to `into`, in place, and return it."""
    for bucket, count in other.items():
        into[bucket] = into.get(bucket, 0) + count
    return into


def percentile(counts: Mapping[int, int], share: float) -> float | None:
    """Return the duration in seconds that a `share` (0 to 1) of the counted ones stay below; None if none were
    counted."""
    total = sum(counts.values())
    if not total:
        return None
    rank = max(1, math.ceil(share * total))
    seen = 0
    for bucket in sorted(counts):
        seen += counts[bucket]
        if seen >= rank:
            return _FLOOR * math.exp((bucket - 0.5) * _GROWTH) if bucket else _FLOOR
    raise AssertionError("unreachable: ranks lie within the total")
