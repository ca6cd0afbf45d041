"""Builds the report that `loom run --format json` prints, from run state alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, select

from loom_common.async_engine import AsyncConnection
from loom_common.contracts.v1 import (
    Alert,
    BeganAt,
    CascadeSummary,
    CheckSummary,
    EvaluatorSummary,
    KeptReason,
    RunBudget,
    RunReport,
    SchemaDrift,
    StageCalls,
    StepSummary,
    StreamWindow,
)
from loom_common.domain.quality.fail_on import checked as checked_limits
from loom_common.domain.run.tally import Tally
from loom_common.domain.values.destination_names import staged_in
from loom_common.domain.values.sampling import SHOWN_ROWS
from loom_coordinator.accounting import estimates, failure_reasons, quality, schemas, steps, tallies, usage
from loom_coordinator.accounting.cascades import counts
from loom_coordinator.alerts import store
from loom_coordinator.db import run_rows, streams
from loom_coordinator.db.run import Run
from loom_coordinator.db.tables.outcomes import evaluation_results
from loom_coordinator.lifecycle.partitions import count

_SCORES = (
    select(evaluation_results)
    .where(evaluation_results.c.run_id == bindparam("run_id"))
    .order_by(evaluation_results.c.id)
)


async def of(connection: AsyncConnection, run_id: str) -> RunReport | None:
    """Return the report of a run, as far as it has come; None where there is no such run."""
    run = await run_rows.find(connection, run_id)
    return None if run is None else await of_run(connection, run)


async def of_run(connection: AsyncConnection, run: Run) -> RunReport:
    """Return the report of a run as it was read just now."""
    run_id = run.run_id
    evaluation = await _scores(connection, run)
    spent = await usage.of_run(connection, run_id)
    told = await store.of_run(connection, run_id)
    tally = tallies.of_run(run)
    why = await failure_reasons.of_run(connection, run_id) if tally.kept else ()
    checks = await quality.summaries(connection, run)
    drift = await schemas.drift_of(connection, run)
    pieces = 1 if run.stream is not None else max(1, (await count(connection, run_id)).total)  # no window is split
    saved = await counts.summaries(connection, run, spent)
    stepped = await steps.summaries(connection, run_id, run.definition)
    report = build(run, tally, evaluation, spent, told, why, checks, drift, saved, stepped, partitions=pieces)
    return report if run.stream is None else report.model_copy(update={"window": await _window(connection, run)})


async def _scores(connection: AsyncConnection, run: Run) -> dict[str, EvaluatorSummary]:
    rows = await connection.execute(_SCORES, {"run_id": run.run_id})
    return {row["evaluator_name"]: summary(row) for row in rows.mappings()}


async def _window(connection: AsyncConnection, run: Run) -> StreamWindow:
    others = await streams.open_windows(connection, str(run.stream))
    goes_on = any(each.status == run_rows.RUNNING for each in others if each.run_id != run.run_id)
    number, canary = run.stream_window or 0, run.canary_of is not None
    began = None if run.began_at is None else BeganAt.model_validate(run.began_at)
    return StreamWindow(
        stream=str(run.stream), number=number, goes_on=goes_on, canary=canary, began_at=began, known=run.known
    )


def build(
    run: Run,
    tally: Tally,
    evaluation: dict[str, EvaluatorSummary],
    spent: Sequence[StageCalls] = (),
    told: Sequence[Alert] = (),
    why: Sequence[KeptReason] = (),
    checks: Sequence[CheckSummary] = (),
    drift: Sequence[SchemaDrift] = (),
    saved: Sequence[CascadeSummary] = (),
    stepped: Sequence[StepSummary] = (),
    *,
    partitions: int = 1,
) -> RunReport:
    """Return the report of a run row and its tally. Pure."""
    return RunReport(
        run_id=run.run_id,
        pipeline=run.pipeline_name,
        version=run.pipeline_version,
        status=run.status,
        error=run.error_message,
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
                "filtered",
                "derived",
                "unnested",
                "grouped",
                "loaded",
                "second",
                "staged",
            )
        },
        evaluation=evaluation,
        cost={
            "total": tally.cost_transform + tally.cost_evaluate,
            "transform": tally.cost_transform,
            "evaluate": tally.cost_evaluate,
        },
        calls={"made": tally.calls_made, "from_cache": tally.calls_from_cache},
        latency={"p50": run.latency_p50, "p95": run.latency_p95, "p99": run.latency_p99},
        waited=dict(run.waited or {}),
        duration_seconds=run.duration_seconds or 0.0,
        destination=run.destination,
        reason=run.reason,
        spending=tuple(spent),
        budget=_budget(run, sum(each.cost for each in spent)),
        estimate=estimates.compared(run.estimate, spent, tally.extracted),
        alerts=tuple(told),
        checks=tuple(checks),
        drift=tuple(drift),
        cascades=tuple(saved),
        reasons=tuple(why),
        staged_in=staged_in(run.destination, run.run_id) if tally.staged else None,
        sample=run.sample,
        rows=_rows(run.sampled),
        fail_on=checked_limits(run.definition.get("fail_on") or {}),
        unchanged=_left_as_it_was(run, tally),
        partitions=partitions,
        steps=tuple(stepped),
        target=run.target,
    )


def _left_as_it_was(run: Run, tally: Tally) -> bool:
    """Say whether an ended run left its destination as it was. One that replaces a result by an empty one did not."""
    if run.status not in run_rows.TERMINAL or tally.loaded > tally.second:
        return False
    kept = run.placed is not None and not run.placed["first"]
    adds = (run.definition.get("load") or {}).get("mode") in ("append", "upsert") or run.replay_of is not None
    return kept or adds or run.status in (run_rows.FAILED, run_rows.CANCELLED)


def _rows(sampled: Mapping[str, Sequence[dict[str, Any]]] | None) -> tuple[dict[str, Any], ...]:
    """Return the rows of a sample in the order of their batches, which are named by slice and position."""
    ordered = sorted((sampled or {}).items(), key=lambda item: tuple(map(int, item[0].split("-"))))
    return tuple(row for _, rows in ordered for row in rows)[:SHOWN_ROWS]


def _budget(run: Run, spent: float) -> RunBudget | None:
    if run.budget is None:
        return None
    return RunBudget(limit=run.budget, spent=spent, left=max(0.0, run.budget - spent))


def summary(row: Any) -> EvaluatorSummary:
    """Return one row of `evaluation_results`."""
    return EvaluatorSummary(
        mean=row["mean_score"],
        std=row["std_score"],
        min=row["min_score"],
        max=row["max_score"],
        threshold=row["threshold"],
        pass_rate=row["pass_rate"],
    )
