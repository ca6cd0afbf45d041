"""Decides on a version on trial by its figures beside those of the version that has the other records. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from loom_common.console.numbers import money
from loom_common.domain.values.plural import counted

if TYPE_CHECKING:
    from loom_common.domain.definition.streams.canary import CanaryConfig

Decision = Literal["wait", "promote", "roll_back"]
_ALWAYS = 0.01
"""The share of its records by which a version may keep back more, whatever the factor says: one record of few is no
figure."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Holds what a version came to in the windows of the trial that have ended."""

    records: int
    kept_back: float | None
    """The share of the records that were kept back; None without a record."""
    score: float | None
    """The mean of all scores; None where nothing is scored."""
    cost_per_record: float | None
    """Holds USD; None without a record."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Says what becomes of a version on trial, and why."""

    decision: Decision
    reason: str


def judged(rule: CanaryConfig, stable: Standing, canary: Standing, windows: int) -> Verdict:
    """Return what becomes of the version `canary` after so many windows of the trial have ended."""
    if windows < rule.windows or min(stable.records, canary.records) < rule.records:
        return Verdict(
            "wait",
            f"{windows} of {counted(rule.windows, 'window')} have ended, with {counted(canary.records, 'record')} of "
            f"the version on trial and {stable.records:,} of the other one, of {rule.records:,} that are needed of "
            "each",
        )
    if worse := list(_worse(rule, stable, canary)):
        return Verdict("roll_back", "; ".join(worse))
    return Verdict("promote", f"it is no worse over {counted(canary.records, 'record')}{_shown(stable, canary)}")


def _worse(rule: CanaryConfig, stable: Standing, canary: Standing) -> Iterator[str]:
    """Yield in which figures the version on trial is worse than it may be."""
    if rule.max_score_drop is not None and stable.score is not None:
        if canary.score is None:
            yield f"none of its records has a score, and the mean of the other version is {stable.score:.3f}"
        elif stable.score - canary.score > rule.max_score_drop + 1e-9:
            yield (
                f"its mean score {canary.score:.3f} is {stable.score - canary.score:.3f} below {stable.score:.3f} "
                f"(max_score_drop {rule.max_score_drop:g})"
            )
    kept, usual = canary.kept_back or 0.0, stable.kept_back or 0.0
    if rule.max_kept_back_factor is not None and kept > max(usual * rule.max_kept_back_factor, usual + _ALWAYS) + 1e-9:
        yield (
            f"it keeps back {kept:.2%} of its records, and the other version {usual:.2%} "
            f"(max_kept_back_factor {rule.max_kept_back_factor:g})"
        )
    cost, usual = canary.cost_per_record or 0.0, stable.cost_per_record or 0.0
    if rule.max_cost_factor is not None and cost > usual * rule.max_cost_factor * (1 + 1e-9):
        yield (
            f"a record costs {money(cost)}, and {money(usual)} with the other version "
            f"(max_cost_factor {rule.max_cost_factor:g})"
        )


def _shown(stable: Standing, canary: Standing) -> str:
    """Return the figures of both."""
    parts = []
    if canary.score is not None and stable.score is not None:
        parts.append(f"mean score {canary.score:.3f} beside {stable.score:.3f}")
    parts.append(f"{canary.kept_back or 0.0:.2%} kept back beside {stable.kept_back or 0.0:.2%}")
    parts.append(f"{money(canary.cost_per_record or 0.0)} a record beside {money(stable.cost_per_record or 0.0)}")
    return ": " + ", ".join(parts)
