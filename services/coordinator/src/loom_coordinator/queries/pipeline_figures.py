"""Queries what the newest runs of a pipeline come to together, or one of them: records, latency, scores and money."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import case, func, select

from loom_common.async_engine import AsyncConnection
from loom_common.domain.json_values.shown import Shown
from loom_common.domain.run.tally import Tally
from loom_common.domain.values import latency as histogram
from loom_coordinator.accounting import tallies
from loom_coordinator.db import run_rows
from loom_coordinator.db.run import Run
from loom_coordinator.db.tables.outcomes import record_evaluations, run_calls
from loom_coordinator.db.tables.runs import pipeline_runs
from loom_coordinator.queries.runs import Alive, always_alive, status_of

NEWEST = 100
"""The number of runs that are looked at unless another number is asked for."""


@dataclass(frozen=True, slots=True)
class EvaluatorFigures(Shown):
    """Says how one evaluator has scored records."""

    records: int
    """The number of records that it scored."""
    mean_score: float
    min_score: float
    max_score: float
    pass_rate: float | None
    """The share of the records that passed, from 0 to 1; None where it only measures."""


@dataclass(frozen=True, slots=True)
class PipelineFigures(Shown):
    """Says what the runs of a pipeline come to."""

    pipeline: str
    runs: Sequence[str]
    """The ids of the runs that are added up, the newest first."""
    statuses: Mapping[str, int]
    """The number of these runs by status."""
    records: Mapping[str, int]
    """The number of records by what became of them."""
    duration_seconds: float | None
    """The mean over the runs that have ended; None where none has."""
    calls: int
    """Model calls that were paid for."""
    calls_reused: int
    """Answers that had been paid for before."""
    tokens_in: int
    tokens_out: int
    total_cost: float
    """Holds the cost in USD."""
    cost_per_record: float | None
    """An amount in USD; None where no record was read."""
    avg_latency_ms: float | None
    """The mean time that a model took to answer, over the calls that were paid for; None where there was none."""
    latency: Mapping[str, float | None]
    """`p50`, `p95` and `p99`: seconds that a model took to answer, or code to transform a record."""
    avg_evaluation_score: float | None
    """The mean over all scores; None where nothing was scored."""
    evaluators: Mapping[str, EvaluatorFigures]

    @property
    def success_rate(self) -> float | None:
        """Return the share of the ended runs that succeeded, from 0 to 1; None where no run has ended."""
        ended = sum(self.statuses.get(status, 0) for status in run_rows.TERMINAL)
        return self.statuses.get(run_rows.SUCCEEDED, 0) / ended if ended else None

    def as_json(self) -> dict[str, Any]:
        """Write the fields and the success rate."""
        return {**Shown.as_json(self), "success_rate": self.success_rate}


async def of_pipeline(
    connection: AsyncConnection,
    pipeline: str,
    run_id: str | None = None,
    newest: int = NEWEST,
    alive: Alive = always_alive,
) -> PipelineFigures | None:
    """Return the figures of one run of the pipeline, or of its newest ones; None where there is no such run."""
    columns = pipeline_runs.c
    statement = run_rows.RUNS.where(columns.pipeline_name == pipeline).order_by(
        columns.started_at.desc(), columns.run_id.desc()
    )
    if run_id is not None:
        statement = statement.where(columns.run_id == run_id)
    found = [Run.of(row) for row in (await connection.execute(statement.limit(newest))).mappings()]
    if not found:
        return None
    run_ids = [run.run_id for run in found]
    tally = sum((tallies.of_run(run) for run in found), Tally())
    latency: Counter[int] = Counter()
    for run in found:
        latency.update(run.totals.latency)
    durations = [run.duration_seconds for run in found if run.has_ended and run.duration_seconds is not None]
    paid = await _paid(connection, run_ids)
    evaluators = await _evaluators(connection, run_ids)
    scored = sum(each.records for each in evaluators.values())
    weighted = math.fsum(each.mean_score * each.records for each in evaluators.values())
    return PipelineFigures(
        pipeline=pipeline,
        runs=run_ids,
        statuses=dict(Counter(status_of(run, alive) for run in found)),
        records={name: getattr(tally, name) for name in _COUNTS},
        duration_seconds=math.fsum(durations) / len(durations) if durations else None,
        calls=int(paid["made"]),
        calls_reused=int(paid["reused"]),
        tokens_in=int(paid["tokens_in"]),
        tokens_out=int(paid["tokens_out"]),
        total_cost=paid["cost"],
        cost_per_record=paid["cost"] / tally.extracted if tally.extracted else None,
        avg_latency_ms=1000 * paid["seconds"] / paid["made"] if paid["made"] else None,
        latency={name: histogram.percentile(latency, share) for name, share in _SHARES.items()},
        avg_evaluation_score=weighted / scored if scored else None,
        evaluators=evaluators,
    )


_COUNTS = ("extracted", "transformed", "passed", "rejected", "skipped", "quarantined", "loaded", "cancelled")
_SHARES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}
_SUMMED = ("made", "reused", "tokens_in", "tokens_out", "cost", "seconds")


async def _paid(connection: AsyncConnection, run_ids: Sequence[str]) -> dict[str, float]:
    sums = (func.coalesce(func.sum(run_calls.c[name]), 0).label(name) for name in _SUMMED)
    row = (await connection.execute(select(*sums).where(run_calls.c.run_id.in_(run_ids)))).mappings().one()
    return {name: float(row[name]) for name in _SUMMED}


async def _evaluators(connection: AsyncConnection, run_ids: Sequence[str]) -> dict[str, EvaluatorFigures]:
    said = record_evaluations.c
    judged = case((said.passed.is_(True), 1.0), (said.passed.is_(False), 0.0))
    rows = await connection.execute(
        select(
            said.evaluator_name,
            func.count(),
            func.avg(said.score),
            func.min(said.score),
            func.max(said.score),
            func.avg(judged),
        )
        .where(said.run_id.in_(run_ids), said.score.is_not(None))
        .group_by(said.evaluator_name)
        .order_by(said.evaluator_name)
    )
    return {
        name: EvaluatorFigures(count, float(mean), float(least), float(most), None if rate is None else float(rate))
        for name, count, mean, least, most, rate in rows
    }
