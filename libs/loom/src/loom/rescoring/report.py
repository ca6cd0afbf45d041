"""Describes what scoring the outputs of a run again comes to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loom_common.domain.json_values.shown import Shown
from loom_coordinator.db.outputs.rescorings import ERROR, GONE, PASSED, REJECTED, RescoredRecord


@dataclass(frozen=True, slots=True)
class Rescored(Shown):
    """Holds the verdicts before and now, the scores, and what they cost."""

    rescoring_id: str
    run_id: str
    pipeline: str
    verdicts_before: Mapping[str, int]
    """Counts the records that were judged again by what the run said: `passed`, `rejected`, `error`."""
    verdicts: Mapping[str, int]
    """Counts the same records by what is said now."""
    pass_now: int
    """The number of records that did not pass, and do now."""
    fail_now: int
    """The number of records that passed, and no longer do."""
    gone: int
    """The number of loaded records whose output is no longer to be had. They are not judged."""
    gone_because: Mapping[str, str]
    """Gives, of a few of these, the reason by the record's id."""
    settled: Mapping[str, int]
    """Counts records that are not judged because they were `discarded`, or loaded by a replay (`reprocessed`,
    `manual_fix`)."""
    new: int
    """The number of records that the source has now, and the run had not read."""
    evaluators: Sequence[Mapping[str, Any]]
    calls: Sequence[Mapping[str, Any]]
    """The model calls, by purpose, provider and model; `made` were paid for, `reused` came from the journal."""
    calls_made: int
    calls_reused: int
    cost: float
    """Holds the cost in USD."""
    changed: Sequence[RescoredRecord] = ()
    """The records whose verdict is another one."""
    applied: Mapping[str, Any] | None = None
    """Says what was loaded and withdrawn; None where nothing was to be applied."""


def counted(pairs: Mapping[tuple[str, str], int]) -> tuple[dict[str, int], dict[str, int]]:
    """Return how many records that could be judged had each verdict before, and have it now. Pure."""
    judged = {pair: number for pair, number in pairs.items() if pair[1] != GONE}
    names = (PASSED, REJECTED, ERROR)
    before = {name: sum(number for (was, _), number in judged.items() if was == name) for name in names}
    after = {name: sum(number for (_, now), number in judged.items() if now == name) for name in names}
    return before, after


def changing_side(pairs: Mapping[tuple[str, str], int]) -> tuple[int, int]:
    """Return how many records pass now that did not, and how many no longer pass that did. Pure."""
    enter = sum(number for (was, now), number in pairs.items() if was != PASSED and now == PASSED)
    leave = sum(number for (was, now), number in pairs.items() if was == PASSED and now in (REJECTED, ERROR))
    return enter, leave
