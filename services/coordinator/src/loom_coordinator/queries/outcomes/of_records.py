"""Queries what the records of a run came to: what was loaded and what was kept back, each with its scores."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from loom_common.async_engine import AsyncConnection
from loom_common.domain.json_values.shown import Shown
from loom_coordinator.db.outputs.record_outputs import KEPT, MOST
from loom_coordinator.db.tables.outcomes import evaluation_results, quarantined, record_evaluations, record_outputs
from loom_coordinator.db.tables.runs import pipeline_runs

LOADED = "loaded"
PASSED = "passed"
"""The status of a record that passed its gate in a run that did not put it in its place."""


@dataclass(frozen=True, slots=True)
class OutcomeScore(Shown):
    """Says how one evaluator scored a record."""

    evaluator_name: str
    score: float | None
    """A number from 0 to 1; None where it gave none."""
    threshold: float | None
    passed: bool | None
    confidence: float | None
    explanation: str | None


@dataclass(frozen=True, slots=True)
class RecordOutcome(Shown):
    """Says what became of one record of a run."""

    record_id: str
    status: str
    """`loaded`, `passed`, `rejected`, `quarantined` or `skipped`."""
    output: Any
    """Is what the transform made of the record; None where it came to none, or its output is too large to be kept."""
    scores: Sequence[OutcomeScore]
    stage: str | None
    """The stage that kept it back, with the code and the reason; None for a record that passed."""
    code: str | None
    reason: str | None


async def keeps_outputs(connection: AsyncConnection, run_id: str) -> bool:
    """Tell whether a run keeps what its records come to, and still has it."""
    runs = pipeline_runs.c
    row = (await connection.execute(select(runs.keeps_outputs, runs.completed_at).where(runs.run_id == run_id))).one()
    return row.keeps_outputs and (row.completed_at is None or row.completed_at > dt.datetime.now(dt.UTC) - KEPT)


async def of_run(connection: AsyncConnection, run_id: str, *, placed: bool) -> list[RecordOutcome]:
    """Return what the records of a run came to, as many as are kept of a run: those that passed, then the others.
    `placed`: whether those that passed are in the destination."""
    outputs = record_outputs.c
    passed = select(outputs.record_id, outputs.output).where(outputs.run_id == run_id).order_by(outputs.record_id)
    loaded = (await connection.execute(passed)).all()
    columns = quarantined.c
    back = (
        select(*(columns[name] for name in ("record_id", "outcome", "output", "failure_stage", "code")))
        .add_columns(columns.failure_reason)
        .where(columns.run_id == run_id)
        .order_by(columns.record_id)
        .limit(MOST)
    )
    kept = (await connection.execute(back)).all()
    scores = await _scores(connection, run_id, {row.record_id for row in (*loaded, *kept)})
    status = LOADED if placed else PASSED
    found = [
        RecordOutcome(row.record_id, status, row.output, scores.get(row.record_id, []), None, None, None)
        for row in loaded
    ]
    for row in kept:
        said = scores.get(row.record_id, [])
        stage, reason = row.failure_stage, row.failure_reason
        found.append(RecordOutcome(row.record_id, row.outcome, row.output, said, stage, row.code, reason))
    return found


async def _scores(
    connection: AsyncConnection, run_id: str, record_ids: Collection[str]
) -> dict[str, list[OutcomeScore]]:
    """Return the scores of the records, in the order of the evaluators' names."""
    said, summed = record_evaluations.c, evaluation_results.c
    joined = record_evaluations.outerjoin(
        evaluation_results, (summed.run_id == said.run_id) & (summed.evaluator_name == said.evaluator_name)
    )
    query = (
        select(said.record_id, said.evaluator_name, said.score, summed.threshold)
        .add_columns(said.passed, said.confidence, said.explanation)
        .select_from(joined)
        .where(said.run_id == run_id, said.record_id.in_(sorted(record_ids)))
        .order_by(said.record_id, said.evaluator_name)
    )
    found: dict[str, list[OutcomeScore]] = {}
    for record_id, *score in (await connection.execute(query)).all():
        found.setdefault(record_id, []).append(OutcomeScore(*score))
    return found
