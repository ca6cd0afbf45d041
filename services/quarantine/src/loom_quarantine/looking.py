"""Quarantined records as people ask for them: which, how many, and all that is known of one.

Every function raises `DependencyUnavailable` where the database is away."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Dialect, and_, case, func, literal, or_, select
from sqlalchemy.ext.asyncio import AsyncEngine

from loom_common.flow import Stage
from loom_migrations.types import Json
from loom_quarantine.database import transaction
from loom_quarantine.tables import quarantined_records as table

LISTED = (
    "id",
    "run_id",
    "record_id",
    "record_data",
    "failure_stage",
    "failure_reason",
    "error_details",
    "evaluation_scores",
    "quarantined_at",
    "resolved",
    "resolved_at",
    "resolution_action",
)
"""The columns that `listing` gives, in order, unless told otherwise."""
WHOLE = (*LISTED, "pipeline_name", "batch_id", "outcome", "code", "output", "attempts", "replay_run_id")
"""Every column that says something of the record."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which records are meant. What is None leaves the choice open."""

    pipeline: str | None = None
    run_id: str | None = None
    record_ids: tuple[str, ...] | None = None
    stage: Stage | None = None
    reason: str | None = None
    """Words of the reason, or its code; upper and lower case do not matter."""
    evaluator: str | None = None
    """One that scored the record, or failed on it."""
    min_score: float | None = None
    max_score: float | None = None
    """Of that evaluator, both inclusive."""
    unresolved: bool = False
    """Only those that wait."""

    def conditions(self, dialect: Dialect) -> list[ColumnElement[bool]]:
        """As SQL, every value bound."""
        chosen: list[ColumnElement[bool]] = []
        if self.pipeline is not None:
            chosen.append(table.c.pipeline_name == self.pipeline)
        if self.run_id is not None:
            chosen.append(table.c.run_id == self.run_id)
        if self.record_ids is not None:
            chosen.append(named(dialect, self.record_ids))
        if self.stage is not None:
            chosen.append(table.c.failure_stage == self.stage.value)
        if self.reason is not None:
            chosen.append(
                or_(table.c.failure_reason.icontains(self.reason, autoescape=True), table.c.code == self.reason)
            )
        if self.evaluator is not None:
            chosen += self._scored(self.evaluator)
        if self.unresolved:
            chosen.append(table.c.resolved.is_(False))
        return chosen

    def _scored(self, evaluator: str) -> list[ColumnElement[bool]]:
        score = table.c.evaluation_scores[evaluator].as_float()
        bounds = [
            *([] if self.min_score is None else [score >= self.min_score]),
            *([] if self.max_score is None else [score <= self.max_score]),
        ]
        if bounds:
            return bounds
        failed = table.c.failure_reason.startswith(f"Evaluator {evaluator}: ", autoescape=True)
        return [or_(score.is_not(None), failed)]


async def listing(
    engine: AsyncEngine,
    chosen: Chosen,
    limit: int | None = 100,
    *,
    columns: Sequence[str] = LISTED,
    before: int | None = None,
) -> list[dict[str, Any]]:
    """The newest `limit` records, or all, as JSON values (times in ISO 8601, UTC). `before` goes on after a listing
    whose last row had that `id`."""
    async with transaction(engine) as connection:
        query = (
            select(*(table.c[name] for name in columns))
            .where(*chosen.conditions(connection.dialect), *([] if before is None else [table.c.id < before]))
            .order_by(table.c.id.desc())
            .limit(limit)
        )
        found = (await connection.execute(query)).mappings().all()
    return [{name: _shown(value) for name, value in row.items()} for row in found]


async def history(engine: AsyncEngine, record_id: str, run_id: str | None = None) -> list[dict[str, Any]]:
    """Every column of every time the record was kept back, newest first: in `run_id` and in the replays it was taken
    up by; without a run, wherever it was. JSON values."""
    query = select(table).where(table.c.record_id == record_id).order_by(table.c.id.desc())
    async with transaction(engine) as connection:
        found = [dict(row) for row in (await connection.execute(query)).mappings()]
    if run_id is not None:
        line = {run_id}
        for row in reversed(found):
            if row["run_id"] in line and row["replay_run_id"]:
                line.add(row["replay_run_id"])
        found = [row for row in found if row["run_id"] in line]
    return [{name: _shown(value) for name, value in row.items()} for row in found]


async def stats(engine: AsyncEngine, chosen: Chosen) -> list[dict[str, Any]]:
    """How many were kept back for what, and what became of them; the most that wait first."""
    keys = (table.c.pipeline_name, table.c.failure_stage, table.c.code, table.c.outcome)
    counts = {
        "records": func.count(),
        "unresolved": _count(table.c.resolved.is_(False)),
        **{
            action: _count(and_(table.c.resolved, table.c.resolution_action == action))
            for action in ("reprocessed", "manual_fix", "discarded")
        },
    }
    columns = [counted.label(name) for name, counted in counts.items()]
    newest = func.max(table.c.quarantined_at).label("newest")
    async with transaction(engine) as connection:
        query = select(*keys, *columns, newest).where(*chosen.conditions(connection.dialect)).group_by(*keys)
        found = await connection.execute(query.order_by(counts["unresolved"].desc(), counts["records"].desc(), *keys))
        return [{name: _shown(value) for name, value in row.items()} for row in found.mappings()]


def named(dialect: Dialect, record_ids: Sequence[str]) -> ColumnElement[bool]:
    """Any number of ids as one bound value: a list of parameters has its limits."""
    unfold = func.jsonb_array_elements_text if dialect.name == "postgresql" else func.json_each
    given = unfold(literal(list(record_ids), Json)).table_valued("value")
    return table.c.record_id.in_(select(given.c.value))


def _count(condition: ColumnElement[bool]) -> Any:
    return func.sum(case((condition, 1), else_=0))


def _shown(value: Any) -> Any:
    return value.isoformat() if isinstance(value, dt.datetime) else value
