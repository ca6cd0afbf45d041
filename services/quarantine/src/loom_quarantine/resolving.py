"""The end of a record's quarantine: replayed, mended and replayed, or given up.

Every function is one transaction, and raises `DependencyUnavailable` where the database is away."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from loom_quarantine.database import transaction
from loom_quarantine.looking import named
from loom_quarantine.tables import quarantined_records as table

REPROCESSED = "reprocessed"
MANUAL_FIX = "manual_fix"
"""Replayed with fields that somebody edited."""
DISCARDED = "discarded"


async def mark_resolved(engine: AsyncEngine, run_id: str, replay_run_id: str, now: dt.datetime) -> int:
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
        .values(resolved=True, resolved_at=now, resolution_action=func.coalesce(table.c.replay_action, REPROCESSED))
    )
    async with transaction(engine) as connection:
        return (await connection.execute(resolved)).rowcount


async def discard(engine: AsyncEngine, run_id: str, record_ids: Sequence[str] | None, now: dt.datetime) -> int:
    """Give up the unresolved records of `run_id`, all or those named. They stay readable. Returns how many."""
    async with transaction(engine) as connection:
        chosen = [] if record_ids is None else [named(connection.dialect, record_ids)]
        discarded = (
            update(table)
            .where(table.c.run_id == run_id, table.c.resolved.is_(False), *chosen)
            .values(resolved=True, resolved_at=now, resolution_action=DISCARDED)
        )
        return (await connection.execute(discarded)).rowcount
