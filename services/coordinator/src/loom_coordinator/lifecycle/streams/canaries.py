"""Says which version of a pipeline is on trial in a stream, and with which share of the records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from loom_common.domain.run.piece import Share
from loom_coordinator.db.streams import Stream


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """Represents `streams.canary`."""

    plan: str
    template: Mapping[str, Any]
    """Holds the columns of each of its runs that follow from it."""
    every: float
    records: int
    share: float
    keys: tuple[str, ...]
    """The key of records in the version that the others have."""
    since: int
    """The number of the first window that shares its records."""

    def row(self) -> dict[str, Any]:
        """Return the value of the column."""
        return {**asdict(self), "keys": list(self.keys)}


def of_stream(stream: Stream) -> Canary | None:
    """Return the version on trial of a stream; None where none is."""
    return None if stream.canary is None else Canary(**{**stream.canary, "keys": tuple(stream.canary["keys"])})


def share_of(stream: Stream) -> Share | None:
    """Return which records the next window of a stream reads; None for all."""
    canary = of_stream(stream)
    return None if canary is None else Share(canary=canary.share, keys=canary.keys, on_trial=False)
