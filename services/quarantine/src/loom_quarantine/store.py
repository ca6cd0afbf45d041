"""Quarantined records, kept and read. One row per record of a run: the stage that kept it last has the word.

Every function is one transaction, and raises `DependencyUnavailable` where the database is away."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Dialect, Insert, and_, func, literal, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncEngine

from loom_common.contracts.v1 import RecordsQuarantined
from loom_migrations.types import Json
from loom_quarantine.database import transaction
from loom_quarantine.rows import rows_of
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
"""The columns that `listing` gives, in order."""
_FIRST_WORD_STAYS = frozenset({"run_id", "record_id", "quarantined_at"})


async def keep(engine: AsyncEngine, message: RecordsQuarantined, now: dt.datetime) -> int:
    """Keep the message's records; keeping them twice is once. Returns how many of the batch are kept in all."""
    rows = rows_of(message, now)
    count = select(func.count()).where(table.c.run_id == message.run_id, table.c.batch_id == message.batch_id)
    async with transaction(engine) as connection:
        if rows:
            await connection.execute(_upsert(connection.dialect, list(rows[0])), rows)
        return (await connection.execute(count)).scalar_one()


async def listing(
    engine: AsyncEngine, *, pipeline: str | None = None, run_id: str | None = None, limit: int = 100
) -> list[dict[str, Any]]:
    """The newest `limit` records, resolved or not, as JSON values (times in ISO 8601, UTC)."""
    query = select(*(table.c[name] for name in LISTED)).order_by(table.c.id.desc()).limit(limit)
    if pipeline is not None:
        query = query.where(table.c.pipeline_name == pipeline)
    if run_id is not None:
        query = query.where(table.c.run_id == run_id)
    async with transaction(engine) as connection:
        found = (await connection.execute(query)).mappings().all()
    return [{name: _shown(value) for name, value in row.items()} for row in found]


async def page(
    engine: AsyncEngine,
    run_id: str,
    record_ids: Sequence[str] | None,
    cursor: int | None,
    limit: int,
    *,
    replay_run_id: str,
) -> list[dict[str, Any]]:
    """The next records of `run_id` for a replay, in the order they were kept: unresolved ones, all or those named.

    They are marked as taken up by `replay_run_id`, so that the same page can be read again, and resolved later."""
    async with transaction(engine) as connection:
        due = and_(
            table.c.run_id == run_id,
            table.c.id > (cursor or 0),
            or_(table.c.resolved.is_(False), table.c.replay_run_id == replay_run_id),
            *([] if record_ids is None else [_named(connection.dialect, record_ids)]),
        )
        found = (await connection.execute(select(table).where(due).order_by(table.c.id).limit(limit))).mappings().all()
        if found:
            taken = and_(due, table.c.id <= found[-1]["id"])
            await connection.execute(update(table).where(taken).values(replay_run_id=replay_run_id))
    return [dict(row) for row in found]


async def mark_resolved(engine: AsyncEngine, run_id: str, replay_run_id: str, action: str, now: dt.datetime) -> int:
    """Resolve the records of `run_id` that `replay_run_id` took up and did not keep back again. Returns how many."""
    again = table.alias("again")
    kept_again = select(again.c.record_id).where(again.c.run_id == replay_run_id)
    resolved = (
        update(table)
        .where(
            table.c.run_id == run_id,
            table.c.replay_run_id == replay_run_id,
            table.c.resolved.is_(False),
            table.c.record_id.not_in(kept_again),
        )
        .values(resolved=True, resolved_at=now, resolution_action=action)
    )
    async with transaction(engine) as connection:
        return (await connection.execute(resolved)).rowcount


def _upsert(dialect: Dialect, columns: Sequence[str]) -> Insert:
    insert = postgresql.insert(table) if dialect.name == "postgresql" else sqlite.insert(table)
    replaced = {name: insert.excluded[name] for name in columns if name not in _FIRST_WORD_STAYS}
    return insert.on_conflict_do_update(index_elements=["run_id", "record_id"], set_=replaced)


def _named(dialect: Dialect, record_ids: Sequence[str]) -> ColumnElement[bool]:
    """Any number of ids as one bound value: a list of parameters has its limits."""
    unfold = func.jsonb_array_elements_text if dialect.name == "postgresql" else func.json_each
    given = unfold(literal(list(record_ids), Json)).table_valued("value")
    return table.c.record_id.in_(select(given.c.value))


def _shown(value: Any) -> Any:
    return value.isoformat() if isinstance(value, dt.datetime) else value
