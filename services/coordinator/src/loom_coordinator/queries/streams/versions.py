"""Compares the two versions of a pipeline that share the records of a stream, over the newest windows of the trial."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select

from loom_common.async_engine import AsyncConnection
from loom_common.domain.json_values.shown import Shown
from loom_common.domain.values import latency
from loom_coordinator.accounting import tallies
from loom_coordinator.db import run_rows
from loom_coordinator.db.run import Run
from loom_coordinator.db.streams import Stream
from loom_coordinator.db.tables.outcomes import evaluation_results, record_evaluations
from loom_coordinator.db.tables.runs import pipeline_runs
from loom_coordinator.lifecycle.streams import canaries

_MOST_RUNS = 400
"""The most runs that are compared, so that a look takes no longer the longer a trial goes on."""


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


async def compared(connection: AsyncConnection, stream: Stream) -> ShownCanary | None:
    """Return how the version on trial does beside the other one; None where none is on trial."""
    canary = canaries.of_stream(stream)
    if canary is None:
        return None
    runs = pipeline_runs.c
    rows = await connection.execute(
        run_rows.RUNS.where(runs.stream == stream.stream_id, runs.stream_window >= canary.since)
        .where(runs.replay_of.is_(None))
        .order_by(runs.stream_window.desc())
        .limit(_MOST_RUNS)
    )
    found = [Run.of(row) for row in rows.mappings()]
    versions = []
    for role, template in (("stable", stream.template), ("canary", canary.template)):
        mine = [each for each in found if (each.canary_of is not None) == (role == "canary")]
        score = await _mean_score(connection, mine)
        versions.append(_figures(role, template["pipeline_version"], template.get("prompt_version"), mine, score))
    return ShownCanary(canary.share, canary.since, versions)


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


async def _mean_score(connection: AsyncConnection, runs: Sequence[Run]) -> float | None:
    """Return the mean of the scores of runs: of those that have ended by what was added up then."""
    ended = [each.run_id for each in runs if each.completed_at is not None]
    going = [each.run_id for each in runs if each.completed_at is None]
    summed, scored = evaluation_results.c, record_evaluations.c
    total, size = 0.0, 0
    for query in (
        select(func.sum(summed.mean_score * summed.sample_size), func.sum(summed.sample_size)).where(
            summed.run_id.in_(ended)
        ),
        select(func.sum(scored.score), func.count(scored.score)).where(scored.run_id.in_(going)),
    ):
        scores, number = (await connection.execute(query)).one()
        total, size = total + float(scores or 0.0), size + int(number or 0)
    return total / size if size else None
