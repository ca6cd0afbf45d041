"""Checks a run's figures, while it goes and when it ends."""

from __future__ import annotations

from sqlalchemy import Float, cast, func, select

from loom_common.domain.definition.monitoring import MonitoringConfig
from loom_coordinator.accounting import usage
from loom_coordinator.alerts import store
from loom_coordinator.alerts.rules import LEAST_RECORDS, Figures, Finding, findings
from loom_coordinator.db.run import Run
from loom_coordinator.db.tables.outcomes import evaluation_results, record_evaluations
from loom_coordinator.db.tables.runs import pipeline_runs
from loom_coordinator.db.unit_of_work import UnitOfWork

_TOLD = ("succeeded", "partial")
"""Runs whose figures are worth comparing with."""


def config_of(run: Run) -> MonitoringConfig:
    """Return the monitoring that the run's definition asks for."""
    return MonitoringConfig.model_validate(run.definition.get("monitoring") or {})


async def look(unit: UnitOfWork, run: Run, *, at_end: bool = False) -> None:
    """Record what stands out, once per run and subject, and at the end of a whole run what is over. A run under way
    must have come some way first."""
    tally = run.totals.tally
    if not tally.transformed or (not at_end and tally.transformed < LEAST_RECORDS):
        return
    config = config_of(run)
    found = await _found(unit, run, config) if config.watches else []
    for finding in found:
        await store.raise_one(unit, run, finding)
    if at_end and run.replay_of is None and run.sample is None:
        await store.resolve(unit, run, found)


async def _found(unit: UnitOfWork, run: Run, config: MonitoringConfig) -> list[Finding]:
    now = await _figures(unit, run)
    sections = [each for each in (config.cost_spike, config.score_degradation) if each is not None]
    most = max((each.runs for each in sections), default=0)
    history = await _history(unit, run, most) if most else []
    return findings(config, now, history)


async def _figures(unit: UnitOfWork, run: Run) -> Figures:
    run_id, tally = run.run_id, run.totals.tally
    scores = record_evaluations.c
    rows = await unit.connection.execute(
        select(scores.evaluator_name, func.avg(cast(scores.score, Float)), func.count())
        .where(scores.run_id == run_id)
        .group_by(scores.evaluator_name)
    )
    cost = await usage.cost_of_run(unit.connection, run_id)
    return Figures(
        records=tally.transformed,
        cost_per_record=cost / tally.transformed,
        latency=run.totals.percentiles(),
        scores={name: float(mean) for name, mean, _ in rows if mean is not None},
    )


async def _history(unit: UnitOfWork, run: Run, most: int) -> list[Figures]:
    runs = pipeline_runs.c
    rows = (
        (
            await unit.connection.execute(
                select(runs.run_id, runs.cost_total, runs.tally)
                .where(
                    runs.pipeline_name == run.pipeline_name,
                    runs.status.in_(_TOLD),
                    runs.replay_of.is_(None),
                    runs.sample.is_(None),
                    runs.run_id != run.run_id,
                    runs.completed_at.is_not(None),
                )
                .order_by(runs.completed_at.desc())
                .limit(most)
            )
        )
        .mappings()
        .all()
    )
    scores: dict[str, dict[str, float]] = {}
    results = evaluation_results.c
    for run_id, name, mean in await unit.connection.execute(
        select(results.run_id, results.evaluator_name, results.mean_score).where(
            results.run_id.in_([row["run_id"] for row in rows])
        )
    ):
        scores.setdefault(run_id, {})[name] = mean
    history = []
    for row in rows:
        records = int((row["tally"] or {}).get("transformed") or 0)
        if records:
            per_record = float(row["cost_total"] or 0.0) / records
            history.append(Figures(records, per_record, {}, scores.get(row["run_id"], {})))
    return history
