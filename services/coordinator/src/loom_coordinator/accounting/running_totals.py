"""Keeps the totals of a run up with the changes of its batches. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
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
    for batch, sign in _signed(changes):
        _add(amounts, batch.amounts, sign)
        _add(seconds, batch.seconds, sign)
        _add(latency, batch.latency, sign)
        _add(waited, batch.waited, sign)
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


def _signed(changes: Iterable[Change]) -> Iterable[tuple[Batch, int]]:
    for before, after in changes:
        if before is not None:
            yield before, -1
        yield after, 1


def _add(sums: dict[K, N], amounts: Mapping[K, N], sign: int) -> None:
    for name, amount in amounts.items():
        if amount:
            more = amount if sign > 0 else -amount
            sums[name] = sums[name] + more if name in sums else more


def _lately(known: Sequence[tuple[float, int]], ended: int, now: float) -> tuple[tuple[float, int], ...]:
    """Return the counts of the last minute, from which a rate is told. The present count is added once a step has
    passed since the last one; of those that are older than a minute, the newest is kept."""
    if known and now - known[-1][0] < _STEP_SECONDS:
        return tuple(known)
    outdated = [each for each in known if each[0] <= now - LATELY_SECONDS]
    return (*outdated[-1:], *known[len(outdated) :], (now, ended))
