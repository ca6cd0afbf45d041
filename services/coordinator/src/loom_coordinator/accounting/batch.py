"""Holds what is known of one batch. Pure.

A fact carries the batch's cumulative tally, so the furthest fact tells all: facts may come twice, and in any order."""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any

from loom_common.contracts.v1 import BatchFact
from loom_common.domain.run.calls import Calls, advanced, difference
from loom_common.domain.run.tally import Tally
from loom_common.flow import Stage

UNDERWAY = "underway"
DONE = "done"

_ORDER = {stage: rank for rank, stage in enumerate(Stage)}
_NOTHING = Tally.of({})
_EMPTY: dict[str, Any] = {}
_NO_MONEY = dict.fromkeys(
    ("calls_made", "calls_from_cache", "tokens_in", "tokens_out", "cost_transform", "cost_evaluate"), 0
)


@dataclass(frozen=True, slots=True)
class BatchUsage:
    """Holds what one stage paid for one batch."""

    calls: tuple[Calls, ...] = ()
    whole: bool = False
    """Says whether the stage is done with the batch; else more may come."""

    def better_than(self, other: BatchUsage) -> bool:
        """Say whether `other` tells nothing new: words about a batch come twice, and in any order."""
        if self.whole != other.whole:
            return self.whole
        return not self.whole and self._told > other._told

    @property
    def _told(self) -> tuple[int, int]:
        return (sum(each.made for each in self.calls), sum(each.reused for each in self.calls))

    def as_json(self) -> dict[str, Any]:
        """Return the usage as the batch's row holds it."""
        return {"whole": self.whole, "calls": [each.model_dump() for each in self.calls]}

    @staticmethod
    def of_json(said: Mapping[str, Any]) -> BatchUsage:
        """Return the usage that `as_json` gave."""
        return BatchUsage(tuple(Calls(**each) for each in said["calls"]), said["whole"])


NO_USAGE = BatchUsage()
NOTHING_PAID = BatchUsage(whole=True)
"""Says that a stage is done with a batch, and asked no model for it."""


@dataclass(slots=True)
class Batch:
    """Holds one batch row. `stage` is the last one known to be done with it."""

    run_id: str
    batch_id: str
    partition: int = -1
    slice: int = -1
    position: int = -1
    stage: Stage = Stage.EXTRACT
    tally: Tally = _NOTHING
    kept: int = 0
    """Records of it that the quarantine holds."""
    unread: int = -1
    """Records of it that the extraction kept back; -1 until its slice has told."""
    seconds: dict[str, float] = field(default_factory=dict)
    latency: dict[int, int] = field(default_factory=dict)
    waited: dict[int, int] = field(default_factory=dict)
    usages: dict[str, BatchUsage] = field(default_factory=dict)
    """The cost that each stage paid for it, by the name of the stage."""

    def copied(self) -> Batch:
        """Return a copy. What the batch holds is never changed, only replaced."""
        return Batch(*_values(self))

    def pay(self, stage: Stage, usage: BatchUsage) -> tuple[Calls, ...]:
        """Take a stage's usage, unless a better one is known. Return what that adds to the books."""
        known = self.usages.get(stage.value, NO_USAGE)
        if known is not NO_USAGE and known.better_than(usage):
            return ()
        self.usages = {**self.usages, stage.value: usage}
        if not usage.calls and not known.calls:
            return ()
        return difference(usage.calls, known.calls)

    @property
    def amounts(self) -> dict[str, float]:
        """Return the fields of the tally, with the cost of all stages, also of those that are still at work."""
        amounts: dict[str, float] = {**vars(self.tally), **_NO_MONEY}
        for stage, usage in self.usages.items():
            if usage.calls:
                for name, amount in advanced(usage.calls, stage).items():
                    amounts[name] += amount
        return amounts

    def advance(self, stage: Stage, tally: Tally) -> None:
        """Take the tally of a stage, unless a later stage's is known. The stages after it that have nothing to do are
        then done with the batch, too."""
        done = furthest(stage, tally)
        if _ORDER[done] >= _ORDER[self.stage]:
            self.stage, self.tally = done, tally

    def extracted(self, tally: Tally) -> None:
        """Take the tally of the extraction. Of a replay's batch there may be two, in any order: the one that was made
        after its keys were checked has kept more back."""
        self.unread = max(self.unread, tally.kept)
        if self.stage is not Stage.EXTRACT or tally.ended >= self.tally.ended:
            self.advance(Stage.EXTRACT, tally)

    def time(self, fact: BatchFact) -> None:
        """Take what a stage says of the time it took."""
        self.seconds = {**self.seconds, fact.stage.value: fact.seconds}
        if fact.latency:
            self.latency = fact.latency
        if fact.waited:
            self.waited = fact.waited

    @property
    def state(self) -> str:
        """Done when every record has ended, and everything kept back is in the quarantine's table."""
        ended = self.placed and self.tally.balanced and self.kept >= self.tally.kept
        return DONE if ended else UNDERWAY

    @property
    def placed(self) -> bool:
        """Say whether its place in the source is known: the quarantine, which may speak first, does not know it."""
        return self.position >= 0

    def place(self, partition: int, number: int, position: int) -> None:
        """Learn the batch's place."""
        self.partition, self.slice, self.position = partition, number, position

    def row(self, now: dt.datetime) -> dict[str, Any]:
        """Return the columns of this batch."""
        return {
            "run_id": self.run_id,
            "batch_id": self.batch_id,
            "partition": self.partition,
            "slice": self.slice,
            "position": self.position,
            "stage": self.stage.value,
            "state": self.state,
            **self.amounts,
            "kept": self.kept,
            "unread": self.unread,
            "seconds": self.seconds or _EMPTY,
            "latency": {str(bucket): count for bucket, count in self.latency.items()} if self.latency else _EMPTY,
            "waited": {str(bucket): count for bucket, count in self.waited.items()} or None,
            "calls": _usages_as_json(self.usages),
            "updated_at": now,
        }


def _usages_as_json(usages: Mapping[str, BatchUsage]) -> dict[str, Any] | None:
    if any(usage is not NOTHING_PAID for usage in usages.values()):
        return {stage: usage.as_json() for stage, usage in usages.items()}
    return _nothing_paid(tuple(usages))


@functools.cache
def _nothing_paid(stages: tuple[str, ...]) -> dict[str, Any] | None:
    """Return the usages of stages that asked no model. Rows that share a value are converted once for all of them."""
    return {stage: NOTHING_PAID.as_json() for stage in stages} or None


def furthest(stage: Stage, tally: Tally) -> Stage:
    """Return the last stage that is done with a batch whose tally `stage` has told: that stage, or a later one that
    the batch did not visit, because it had nothing to do. The tally counts what such a stage let through."""
    counted = {Stage.TRANSFORM: tally.transformed, Stage.EVALUATE: tally.passed}
    return max([stage, *(each for each, records in counted.items() if records)], key=_ORDER.__getitem__)


_TALLY = tuple(Tally.model_fields)
COLUMNS = ("run_id", "batch_id", "partition", "slice", "position", "stage", *_TALLY, "kept", "unread", "seconds",
           "latency", "waited", "calls")  # fmt: skip
"""The columns from which a batch is made, in their order."""
_values = attrgetter(*(each.name for each in fields(Batch)))


def from_row(row: Sequence[Any]) -> Batch:
    """Return the batch of a row with `COLUMNS`."""
    run_id, batch_id, partition, number, position, stage, *amounts = row
    *amounts, kept, unread, seconds, latency, waited, calls = amounts
    return Batch(
        run_id=run_id,
        batch_id=batch_id,
        partition=partition,
        slice=number,
        position=position,
        stage=Stage(stage),
        tally=Tally.of(dict(zip(_TALLY, amounts, strict=True))),
        kept=kept,
        unread=unread,
        seconds=seconds,
        latency={int(bucket): count for bucket, count in latency.items()} if latency else {},
        waited={int(bucket): count for bucket, count in waited.items()} if waited else {},
        usages={stage: BatchUsage.of_json(said) for stage, said in calls.items()} if calls else {},
    )
