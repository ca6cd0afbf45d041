"""Keeps the totals of a run up with the changes of its batches. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from loom_common.domain.run.tally import Tally
from loom_coordinator.accounting.batch import DONE, Batch
from loom_coordinator.db.run_totals import RunTotals

K = TypeVar("K")
N = TypeVar("N", int, float)

LATELY_SECONDS = 60.0
"""Rates are means over so many seconds: steady to look at, and quick enough to follow a change."""
_STEP_SECONDS = 5.0
"""The least time between two entries of `RunTotals.lately`."""

Change = tuple[Batch | None, Batch]
"""A batch before and after a change; None before the first that is heard of it."""


def changed(totals: RunTotals, changes: Sequence[Change], now: dt.datetime) -> RunTotals:
    """Return the totals after batches of the run have changed."""
    amounts: dict[str, Any] = dict(vars(totals.tally))
    seconds, latency, waited = dict(totals.seconds), dict(totals.latency), dict(totals.waited)
    underway, done, ended = totals.underway, totals.done, totals.ended
    for before, after in changes:
        _add(amounts, {} if before is None else before.amounts, after.amounts)
        _add(seconds, {} if before is None else before.seconds, after.seconds)
        _add(latency, {} if before is None else before.latency, after.latency)
        _add(waited, {} if before is None else before.waited, after.waited)
        for batch, sign in ((before, -1), (after, 1)):
            if batch is None:
                continue
            if batch.state == DONE:
                done += sign
                ended += sign * batch.tally.entered
            else:
                underway += sign
    return RunTotals(
        tally=Tally.of(amounts),
        underway=underway,
        done=done,
        ended=ended,
        seconds=seconds,
        latency=latency,
        waited=waited,
        heard={**totals.heard, **{after.stage: now for _, after in changes}},
        heard_at=now,
        lately=_lately(totals.lately, ended, now.timestamp()),
    )


def records_per_second(totals: RunTotals, age: float, now: dt.datetime) -> float:
    """Return the records per second whose batch ended in the last minute, for a run that began `age` seconds ago."""
    before = [count for at, count in totals.lately if at <= now.timestamp() - LATELY_SECONDS]
    return (totals.ended - (before[-1] if before else 0)) / min(LATELY_SECONDS, max(1.0, age))


def _add(sums: dict[K, N], before: Mapping[K, N], after: Mapping[K, N]) -> None:
    """Add to the sums by how much the amounts of a batch have changed."""
    for name, amount in after.items():
        more = amount - before[name] if name in before else amount
        if more:
            sums[name] = sums[name] + more if name in sums else more
    for name, amount in before.items():
        if amount and name not in after:
            sums[name] -= amount


def _lately(known: Sequence[tuple[float, int]], ended: int, now: float) -> tuple[tuple[float, int], ...]:
    """Return the counts of the last minute, from which a rate is told. The present count is added once a step has
    passed since the last one; of those that are older than a minute, the newest is kept."""
    if known and now - known[-1][0] < _STEP_SECONDS:
        return tuple(known)
    outdated = [each for each in known if each[0] <= now - LATELY_SECONDS]
    return (*outdated[-1:], *known[len(outdated) :], (now, ended))
