"""Estimates how many records a whole run makes of groups, of which a sample shows a part. Pure.

Few groups of many records are all in a sample, and many small ones are not. The number of those that it does not show
is told from those of which it has one or two records (Chao, 1984: Nonparametric Estimation of the Number of Classes in
a Population)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable

from loom_common.contracts.v1 import StageCalls, StepCount
from loom_common.domain.run.calls import AMOUNTS


def records_of_all(members: Iterable[tuple[Hashable, int]], factor: float, size: int | None) -> float:
    """Return how many records a run makes of groups. `members` are those of the sample, each by its group with the
    number of records that it was made of; the run has `factor` times as many records. `size` is of how many one record
    is made at most."""
    groups = Counter[Hashable]()
    for group, number in members:
        groups[group] += number
    if not groups:
        return 0.0
    once, twice = (sum(number == wanted for number in groups.values()) for wanted in (1, 2))
    unseen = once * (once - 1) / (2 * (twice + 1))
    known = len(groups)
    all_groups = min(known + unseen, known * factor) if factor > 1 else known
    if size is None:
        return all_groups
    growth = factor * known / all_groups
    return all_groups / known * sum(math.ceil(number * growth / size) for number in groups.values())


def added_up(calls: Iterable[StageCalls]) -> tuple[StageCalls, ...]:
    """Return one entry for each kind of call."""
    found: dict[tuple[object, ...], StageCalls] = {}
    for each in calls:
        known = found.get((each.stage, *each.kind))
        found[each.stage, *each.kind] = each if known is None else _plus(known, each)
    return tuple(found.values())


def steps_added_up(steps: Iterable[StepCount]) -> tuple[StepCount, ...]:
    """Return one entry for each step."""
    found: dict[str, StepCount] = {}
    for each in steps:
        known = found.get(each.name)
        amounts = (
            {}
            if known is None
            else {name: getattr(known, name) + getattr(each, name) for name in StepCount.model_fields if name != "name"}
        )
        found[each.name] = each.model_copy(update=amounts)
    return tuple(found.values())


def _plus(one: StageCalls, other: StageCalls) -> StageCalls:
    return one.model_copy(update={name: getattr(one, name) + getattr(other, name) for name in AMOUNTS})
