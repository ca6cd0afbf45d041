"""Quarantined records, kept, and given out to replays. One row per record of a run: the stage that kept it last has
the word.

Every function is one transaction, and raises `DependencyUnavailable` where the database is away."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Dialect, Insert, and_, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncEngine

from loom_common.contracts.v1 import RecordsQuarantined
from loom_quarantine.database import transaction
from loom_quarantine.looking import named
from loom_quarantine.rows import rows_of
from loom_quarantine.tables import quarantined_records as table

_FIRST_WORD_STAYS = frozenset({"run_id", "record_id", "quarantined_at"})


async def keep(engine: AsyncEngine, message: RecordsQuarantined, now: dt.datetime) -> int:
    """Keep the message's records; keeping them twice is once. Returns how many of the batch are kept in all."""
    rows = rows_of(message, now)
    count = select(func.count()).where(table.c.run_id == message.run_id, table.c.batch_id == message.batch_id)
    async with transaction(engine) as connection:
        if rows:
            await connection.execute(_upsert(connection.dialect, list(rows[0])), rows)
        return (await connection.execute(count)).scalar_one()


async def page(
    engine: AsyncEngine,
    run_id: str,
    record_ids: Sequence[str] | None,
    cursor: int | None,
    limit: int,
    *,
    replay_run_id: str,
    action: str,
) -> list[dict[str, Any]]:
    """The next records of `run_id` for a replay, in the order they were kept: unresolved ones, all or those named.

    They are marked as taken up by `replay_run_id`, so that the same page can be read again, and resolved later: by
    `action`, where that run gets them through."""
    async with transaction(engine) as connection:
        due = and_(
            table.c.run_id == run_id,
            table.c.id > (cursor or 0),
            or_(table.c.resolved.is_(False), table.c.replay_run_id == replay_run_id),
            *([] if record_ids is None else [named(connection.dialect, record_ids)]),
        )
        found = (await connection.execute(select(table).where(due).order_by(table.c.id).limit(limit))).mappings().all()
        if found:
            taken = and_(due, table.c.id <= found[-1]["id"])
            marks = {"replay_run_id": replay_run_id, "replay_action": action}
            await connection.execute(update(table).where(taken).values(marks))
    return [dict(row) for row in found]


def _upsert(dialect: Dialect, columns: Sequence[str]) -> Insert:
    insert = postgresql.insert(table) if dialect.name == "postgresql" else sqlite.insert(table)
    replaced = {name: insert.excluded[name] for name in columns if name not in _FIRST_WORD_STAYS}
    return insert.on_conflict_do_update(index_elements=["run_id", "record_id"], set_=replaced)
