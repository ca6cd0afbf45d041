"""All that is known of one record that did not get through: what went in, what was asked and said, what it cost."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from loom.project.config import LoomConfig
from loom_ai.journal.tables import journal
from loom_common.domain.run.plan import Plan, prompt_of
from loom_common.errors import LoomError
from loom_common.service.bootstrap import open_payloads
from loom_coordinator.db.tables import evaluation_results, pipeline_runs, record_evaluations
from loom_migrations.engine import open_engine
from loom_quarantine import queries


async def account(engine: AsyncEngine, config: LoomConfig, record_id: str, run_id: str | None) -> dict[str, Any] | None:
    """The record as `run_id` kept it back, or as it was kept back last; with its thread through all replays. None
    where it was not kept back."""
    line = await queries.history(engine, record_id, run_id)
    row = next((each for each in line if run_id in (None, each["run_id"])), None)
    if row is None:
        return None
    details = dict(row["error_details"] or {})
    asked = details.pop("prompt", None)
    calls = await _calls(config, row["run_id"], record_id)
    return {
        **{name: row[name] for name in ("record_id", "run_id")},
        "pipeline": row["pipeline_name"],
        "stage": row["failure_stage"],
        "outcome": row["outcome"],
        "code": row["code"],
        "reason": row["failure_reason"],
        "details": details,
        "input": row["record_data"],
        "prompt": asked or await _rendered(engine, config, row),
        "output": row["output"],
        "scores": await _scores(engine, row["run_id"], record_id),
        "attempts": row["attempts"],
        "calls": calls,
        "cost": None if calls is None else sum(each["cost"] for each in calls),
        **{name: row[name] for name in ("quarantined_at", "resolved", "resolved_at", "resolution_action")},
        "replay_of": await _parent(engine, row["run_id"]),
        "resolved_by": row["replay_run_id"] if row["resolution_action"] in ("reprocessed", "manual_fix") else None,
        "replays": [_copy(each) for each in line if each["id"] > row["id"]],
        "kept_before": [_copy(each) for each in line if each["id"] < row["id"]],
    }


def _copy(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("run_id", "failure_stage", "failure_reason", "quarantined_at")}


async def _parent(engine: AsyncEngine, run_id: str) -> str | None:
    query = select(pipeline_runs.c.replay_of).where(pipeline_runs.c.run_id == run_id)
    async with engine.connect() as connection:
        return (await connection.execute(query)).scalar_one_or_none()


async def _scores(engine: AsyncEngine, run_id: str, record_id: str) -> list[dict[str, Any]]:
    said, summed = record_evaluations.c, evaluation_results.c
    columns = (said.evaluator_name, said.score, summed.threshold, said.passed, said.confidence, said.explanation)
    same = (summed.run_id == said.run_id) & (summed.evaluator_name == said.evaluator_name)
    query = (
        select(*columns, said.interactions)
        .select_from(record_evaluations.outerjoin(evaluation_results, same))
        .where(said.run_id == run_id, said.record_id == record_id)
        .order_by(said.evaluator_name)
    )
    async with engine.connect() as connection:
        return [dict(row) for row in (await connection.execute(query)).mappings()]


async def _rendered(engine: AsyncEngine, config: LoomConfig, row: dict[str, Any]) -> str | None:
    """The question that was, or would have been, asked; None where none can be made of the record."""
    query = select(pipeline_runs.c.plan).where(pipeline_runs.c.run_id == row["run_id"])
    async with engine.connect() as connection:
        plan_hash = (await connection.execute(query)).scalar_one_or_none()
    if plan_hash is None:
        return None
    payloads = open_payloads(config.settings())
    try:
        plan = Plan.decoded(await payloads.get(plan_hash))
        return prompt_of(plan).render(row["record_data"]) if plan.pipeline.transform.type == "ai" else None
    except LoomError:  # the plan is out of reach, or the record lacks what the prompt names
        return None
    finally:
        await payloads.close()


async def _calls(config: LoomConfig, run_id: str, record_id: str) -> list[dict[str, Any]] | None:
    """Model calls that the run paid for this record, by purpose and model; None where the journal does not tell."""
    url = config.settings().journal.url.get_secret_value()
    if not url.startswith(("sqlite:", "postgres:", "postgresql:")):
        return None
    kind = (journal.c.purpose, journal.c.model)
    sums = [func.sum(journal.c[name]).label(name) for name in ("tokens_in", "tokens_out", "cost")]
    query = (
        select(*kind, func.count().label("calls"), *sums)
        .where(journal.c.run_id == run_id, journal.c.record_id == record_id, journal.c.purpose != "remembered")
        .group_by(*kind)
        .order_by(*kind)
    )
    engine = open_engine(url, read_only=True)
    try:
        async with engine.connect() as connection:
            return [dict(row) for row in (await connection.execute(query)).mappings()]
    except (DBAPIError, OSError):
        return None
    finally:
        await engine.dispose()
