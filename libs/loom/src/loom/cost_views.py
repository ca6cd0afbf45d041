"""Money as users ask for it: straight from the state database."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from loom import costs
from loom_common.flow import Stage
from loom_coordinator.db.tables import cost_estimates, pipeline_runs, run_calls

if TYPE_CHECKING:
    from loom.preflight.estimate import Estimate


async def by_span(engine: AsyncEngine, pipeline: str, span: str) -> list[dict[str, Any]]:
    """What the pipeline's runs cost, by day, week or month, the newest first."""
    runs = pipeline_runs.c
    async with engine.connect() as connection:
        spent = await connection.execute(
            select(run_calls)
            .join(pipeline_runs, runs.run_id == run_calls.c.run_id)
            .where(runs.pipeline_name == pipeline)
        )
        calls = [dict(row) for row in spent.mappings()]
        ended = await connection.execute(
            select(runs.completed_at, runs.records_processed).where(
                runs.pipeline_name == pipeline, runs.completed_at.is_not(None)
            )
        )
        days = [(moment.date(), records) for moment, records in ended]
    return costs.by_span(calls, days, span)


async def answered(engine: AsyncEngine, pipeline: str) -> dict[tuple[str, str], float]:
    """Tokens per answer in the pipeline's runs so far, by purpose and model."""
    kind = (run_calls.c.purpose, run_calls.c.model)
    statement = (
        select(*kind, func.sum(run_calls.c.tokens_out), func.sum(run_calls.c.made))
        .join(pipeline_runs, pipeline_runs.c.run_id == run_calls.c.run_id)
        .where(pipeline_runs.c.pipeline_name == pipeline)
        .group_by(*kind)
    )
    async with engine.connect() as connection:
        rows = (await connection.execute(statement)).all()
    return {(purpose, model): float(tokens) / float(made) for purpose, model, tokens, made in rows if made}


async def keep(engine: AsyncEngine, estimate: Estimate) -> None:
    """So that the next run can be held against it."""
    by_stage = {stage.value: estimate.cost_of(stage) for stage in (Stage.TRANSFORM, Stage.EVALUATE)}
    async with engine.begin() as connection:
        await connection.execute(
            cost_estimates.insert().values(
                pipeline_name=estimate.pipeline,
                records=estimate.records,
                cost=estimate.cost,
                cost_by_stage=by_stage,
                created_at=dt.datetime.now(dt.UTC),
            )
        )
