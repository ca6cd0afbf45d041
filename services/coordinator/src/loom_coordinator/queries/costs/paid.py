"""Queries what runs cost, in the state database."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import ColumnElement, and_, func, select, true

from loom_common.async_engine import AsyncConnection
from loom_common.domain.run.calls import AMOUNTS, KIND, Calls
from loom_coordinator.db.tables.outcomes import run_calls
from loom_coordinator.db.tables.runs import pipeline_runs
from loom_coordinator.queries.costs.spans import CostSpan, EndedOn, PaidOn
from loom_coordinator.queries.costs.spans import by_span as spans_of


async def by_span(
    connection: AsyncConnection, pipeline: str | None, span: str, among: frozenset[str] | None = None
) -> list[CostSpan]:
    """Return what the runs of a pipeline, or of all, cost, by `day`, `week` or `month`, the newest first. `among` are
    the pipelines whose costs may be seen."""
    runs = pipeline_runs.c
    meant = true() if pipeline is None else runs.pipeline_name == pipeline
    if among is not None:
        meant = and_(meant, runs.pipeline_name.in_(sorted(among)))
    kind = tuple(run_calls.c[name] for name in ("date", "stage", *KIND))
    amounts = (func.sum(run_calls.c[name]).label(name) for name in AMOUNTS)
    spent = await connection.execute(
        select(*kind, *amounts).join(pipeline_runs, runs.run_id == run_calls.c.run_id).where(meant).group_by(*kind)
    )
    calls = [
        PaidOn(row["date"], row["stage"], Calls(**{name: row[name] for name in Calls.model_fields}))
        for row in spent.mappings()
    ]
    day = _utc_day(runs.completed_at, connection.dialect.name)
    ended = await connection.execute(
        select(day, func.count(), func.sum(runs.records_processed), func.sum(runs.budget))
        .where(meant, runs.completed_at.is_not(None))
        .group_by(day)
    )
    days = [
        EndedOn(dt.date.fromisoformat(name), number, int(records), float(budget or 0.0))
        for name, number, records, budget in ended
    ]
    return spans_of(calls, days, span)


def _utc_day(moment: ColumnElement[dt.datetime], dialect: str) -> ColumnElement[str]:
    """Return the day of a moment as ISO 8601 writes it."""
    if dialect == "postgresql":
        return func.to_char(func.timezone("UTC", moment), "YYYY-MM-DD")
    return func.strftime("%Y-%m-%d", moment)


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
