"""What a run came to, as `loom run --format json` prints it: read from run state, nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import RowMapping, select
from sqlalchemy.ext.asyncio import AsyncConnection

from loom_common.contracts.v1 import Alert, EvaluatorSummary, RunBudget, RunReport, StageCalls
from loom_common.domain.tally import Tally
from loom_coordinator import alerts, estimates, spending
from loom_coordinator.accounts import tally as sum_of_batches
from loom_coordinator.tables import evaluation_results, pipeline_runs


async def of(connection: AsyncConnection, run_id: str) -> RunReport | None:
    """The report of a run, as far as it has come; None where there is no such run."""
    run = (
        (await connection.execute(select(pipeline_runs).where(pipeline_runs.c.run_id == run_id)))
        .mappings()
        .one_or_none()
    )
    if run is None:
        return None
    scores = await connection.execute(
        select(evaluation_results).where(evaluation_results.c.run_id == run_id).order_by(evaluation_results.c.id)
    )
    evaluation = {row["evaluator_name"]: summary(row) for row in scores.mappings()}
    spent = await spending.of_run(connection, run_id)
    told = await alerts.of_run(connection, run_id)
    # The row's own tally is written at the end; until then, and after a resume, the batches tell.
    ended = run["completed_at"] is not None and run["tally"]
    tally = Tally(**run["tally"]) if ended else await sum_of_batches(connection, run_id)
    return build(run, tally, evaluation, spent, told)


def build(
    run: RowMapping,
    tally: Tally,
    evaluation: dict[str, EvaluatorSummary],
    spent: Sequence[StageCalls] = (),
    told: Sequence[Alert] = (),
) -> RunReport:
    """The report of a run row and its tally. Pure."""
    return RunReport(
        run_id=run["run_id"],
        pipeline=run["pipeline_name"],
        version=run["pipeline_version"],
        status=run["status"],
        error=run["error_message"],
        records={
            name: getattr(tally, name)
            for name in (
                "extracted",
                "transformed",
                "passed",
                "unscored",
                "rejected",
                "quarantined",
                "skipped",
                "cancelled",
                "loaded",
            )
        },
        evaluation=evaluation,
        cost={
            "total": tally.cost_transform + tally.cost_evaluate,
            "transform": tally.cost_transform,
            "evaluate": tally.cost_evaluate,
        },
        calls={"made": tally.calls_made, "from_cache": tally.calls_from_cache},
        latency={"p50": run["latency_p50"], "p95": run["latency_p95"], "p99": run["latency_p99"]},
        duration_seconds=run["duration_seconds"] or 0.0,
        destination=run["destination"],
        reason=run["reason"],
        spending=tuple(spent),
        budget=_budget(run, sum(each.cost for each in spent)),
        estimate=estimates.compared(run["estimate"], spent, tally.extracted),
        alerts=tuple(told),
    )


def _budget(run: RowMapping, spent: float) -> RunBudget | None:
    if run["budget"] is None:
        return None
    return RunBudget(limit=run["budget"], spent=spent, left=max(0.0, run["budget"] - spent))


def summary(row: Any) -> EvaluatorSummary:
    """One row of `evaluation_results`."""
    return EvaluatorSummary(
        mean=row["mean_score"],
        std=row["std_score"],
        min=row["min_score"],
        max=row["max_score"],
        threshold=row["threshold"],
        pass_rate=row["pass_rate"],
    )
