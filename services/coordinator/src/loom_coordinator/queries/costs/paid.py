"""Queries what runs cost, in the state database."""

from __future__ import annotations

from sqlalchemy import func, select, true

from loom_common.async_engine import AsyncConnection
from loom_common.domain.run.calls import AMOUNTS, Calls
from loom_coordinator.db.tables.outcomes import run_calls
from loom_coordinator.db.tables.runs import pipeline_runs
from loom_coordinator.queries.costs.spans import CostSpan, PaidOn
from loom_coordinator.queries.costs.spans import by_span as spans_of

_CALLS = ("purpose", "provider", "model", *AMOUNTS)


async def by_span(connection: AsyncConnection, pipeline: str | None, span: str) -> list[CostSpan]:
    """Return what the runs of a pipeline, or of all, cost, by `day`, `week` or `month`, the newest first."""
    runs = pipeline_runs.c
    meant = true() if pipeline is None else runs.pipeline_name == pipeline
    spent = await connection.execute(
        select(run_calls).join(pipeline_runs, runs.run_id == run_calls.c.run_id).where(meant)
    )
    paid = [
        PaidOn(row["date"], row["stage"], Calls(**{name: row[name] for name in _CALLS})) for row in spent.mappings()
    ]
    ended = await connection.execute(
        select(runs.completed_at, runs.records_processed).where(meant, runs.completed_at.is_not(None))
    )
    return spans_of(paid, [(moment.date(), records) for moment, records in ended], span)


async def by_pipeline(connection: AsyncConnection) -> list[tuple[str, float]]:
    """Return what the runs of each pipeline cost in USD, the most first."""
    cost = func.sum(run_calls.c.cost)
    statement = (
        select(pipeline_runs.c.pipeline_name, cost)
        .join(run_calls, pipeline_runs.c.run_id == run_calls.c.run_id)
        .group_by(pipeline_runs.c.pipeline_name)
        .order_by(cost.desc(), pipeline_runs.c.pipeline_name)
    )
    return [(name, usd) for name, usd in await connection.execute(statement)]


async def tokens_per_answer(connection: AsyncConnection, pipeline: str) -> dict[tuple[str, str], float]:
    """Return the mean number of tokens of an answer in the pipeline's runs so far, by purpose and model."""
    kind = (run_calls.c.purpose, run_calls.c.model)
    statement = (
        select(*kind, func.sum(run_calls.c.tokens_out), func.sum(run_calls.c.made))
        .join(pipeline_runs, pipeline_runs.c.run_id == run_calls.c.run_id)
        .where(pipeline_runs.c.pipeline_name == pipeline)
        .group_by(*kind)
    )
    rows = (await connection.execute(statement)).all()
    return {(purpose, model): float(tokens) / float(made) for purpose, model, tokens, made in rows if made}
