"""Compares the two versions of a pipeline that share the records of a stream, over the newest windows of the trial."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass

from loom_common.async_engine import AsyncConnection
from loom_common.domain.json_values.shown import Shown
from loom_common.domain.values import latency
from loom_coordinator.accounting import tallies
from loom_coordinator.db.run import Run
from loom_coordinator.db.streams import Stream
from loom_coordinator.lifecycle.streams import canaries, figures
from loom_coordinator.lifecycle.streams.canary_rule import Verdict


@dataclass(frozen=True, slots=True)
class VersionFigures(Shown):
    """Says what became of the records of one version during the trial."""

    role: str
    """`stable`, or `canary` for the version on trial."""
    version: str
    prompt_version: str | None
    records: int
    passed: int
    failure_share: float | None
    """The share of the records that were kept back: by the gate, a check, or an error."""
    score: float | None
    """The mean of all scores."""
    latency_p50: float | None
    """The number of seconds; so is the next one."""
    latency_p95: float | None
    cost: float
    """Holds what the runs of this version have cost, in USD."""
    cost_per_record: float | None
    """Holds the mean cost of a record, in USD; None without a record."""


@dataclass(frozen=True, slots=True)
class ShownCanary(Shown):
    """Shows a version on trial beside the one that the other records have."""

    share: float
    """The share of the records that it takes, from 0 to 1."""
    since: int
    """The number of the window that it began with."""
    versions: Sequence[VersionFigures]
    """The stable version, then the one on trial."""
    waits_for: str | None
    """Says what the rule of the version on trial waits for; None where it has no rule, and somebody decides."""


@dataclass(frozen=True, slots=True)
class ShownDecision(Shown):
    """Shows what its rule decided on a version on trial."""

    decision: str
    """`promote` or `roll_back`."""
    version: str
    """The version that was on trial."""
    other: str
    """The version that had the other records."""
    window: int
    at: dt.datetime
    reason: str

    @property
    def words(self) -> str:
        """Say what was decided, and why."""
        what = "was promoted" if self.decision == "promote" else f"was rolled back, and {self.other} has all records"
        return f"{self.version} {what}, in window {self.window}: {self.reason}"


def decision(stream: Stream) -> ShownDecision | None:
    """Return what its rule decided on the last version on trial of a stream; None where it decided on none."""
    decided = canaries.Decided.of_row(stream.decided)
    if decided is None:
        return None
    at = dt.datetime.fromisoformat(decided.at)
    return ShownDecision(decided.decision, decided.version, decided.other, decided.window, at, decided.reason)


async def compared(connection: AsyncConnection, stream: Stream) -> ShownCanary | None:
    """Return how the version on trial does beside the other one; None where none is on trial."""
    canary = canaries.of_stream(stream)
    if canary is None:
        return None
    found = await figures.runs_of_trial(connection, stream, canary.since)
    versions = []
    for role, template in (("stable", stream.template), ("canary", canary.template)):
        mine = [each for each in found if (each.canary_of is not None) == (role == "canary")]
        score = await figures.mean_score(connection, mine)
        versions.append(_figures(role, template["pipeline_version"], template.get("prompt_version"), mine, score))
    verdict = await figures.verdict(connection, stream)
    return ShownCanary(canary.share, canary.since, versions, None if verdict is None else _waits(verdict))


def _waits(verdict: Verdict) -> str:
    """Say when its rule decides on a version on trial, or what it will decide at the end of the next window."""
    if verdict.decision == "wait":
        return verdict.reason
    what = "promotes" if verdict.decision == "promote" else "rolls back"
    return f"its rule {what} it with the end of the next window: {verdict.reason}"


def _figures(
    role: str, version: str, prompt_version: str | None, runs: Sequence[Run], score: float | None
) -> VersionFigures:
    counts = [tallies.of_run(each) for each in runs]
    records = sum(each.extracted for each in counts)
    seconds: dict[int, int] = {}
    for each in runs:
        latency.merge(seconds, each.totals.latency)
    cost = math.fsum(each.cost_transform + each.cost_evaluate for each in counts)
    return VersionFigures(
        role=role,
        version=version,
        prompt_version=prompt_version,
        records=records,
        passed=sum(each.passed for each in counts),
        failure_share=sum(each.kept for each in counts) / records if records else None,
        score=score,
        latency_p50=latency.percentile(seconds, 0.50),
        latency_p95=latency.percentile(seconds, 0.95),
        cost=cost,
        cost_per_record=cost / records if records else None,
    )
