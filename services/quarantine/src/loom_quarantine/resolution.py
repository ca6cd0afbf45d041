"""Resolves quarantined records: as replayed, edited and replayed, or discarded.

A resolution applies to every copy of the record in its thread. Every function is one transaction, and raises
`DependencyUnavailable` where the database cannot be reached."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from sqlalchemy import ColumnElement, or_, select, update

from loom_common.async_engine import AsyncConnection, AsyncEngine
from loom_quarantine.db.errors import transaction
from loom_quarantine.db.tables import id_is_among, replayed_records
from loom_quarantine.db.tables import quarantined_records as table
from loom_quarantine.db.threads import origin_of

REPROCESSED = "reprocessed"
RESCORED = "rescored"
"""The resolution of a record that was loaded with the output that was kept, after it was scored again."""
MANUAL_FIX = "manual_fix"
"""The resolution of a record that was replayed with edited fields."""
DISCARDED = "discarded"


async def loaded(engine: AsyncEngine, run_id: str, record_ids: Sequence[str], now: dt.datetime) -> int:
    """Resolve every copy of records that `run_id` loaded, including discarded ones. Returns the number of copies."""
    async with transaction(engine) as connection:
        return await _resolve(connection, run_id, id_is_among(connection.dialect, record_ids), now)


async def replay_ended(engine: AsyncEngine, run_id: str, now: dt.datetime) -> int:
    """Resolve every copy of what the replay `run_id` took and did not quarantine again. Returns the number of
    copies."""
    kept_again = select(table.c.record_id).where(table.c.run_id == run_id)
    got_through = select(replayed_records.c.record_id).where(
        replayed_records.c.run_id == run_id, replayed_records.c.record_id.not_in(kept_again)
    )
    async with transaction(engine) as connection:
        return await _resolve(connection, run_id, table.c.record_id.in_(got_through), now)


async def discard(engine: AsyncEngine, run_id: str, record_ids: Sequence[str] | None, now: dt.datetime) -> int:
    """Discard unresolved records of `run_id`, all or those named, in every copy. They stay readable. Returns the number
    of copies."""
    async with transaction(engine) as connection:
        meant = table.alias()
        chosen = [] if record_ids is None else [id_is_among(connection.dialect, record_ids, meant.c.record_id)]
        waiting = select(meant.c.record_id).where(meant.c.run_id == run_id, meant.c.resolved.is_(False), *chosen)
        discarded = (
            update(table)
            .where(
                table.c.origin_run_id == await origin_of(connection, run_id),
                table.c.record_id.in_(waiting),
                table.c.resolved.is_(False),
            )
            .values(resolved=True, resolved_at=now, resolution_action=DISCARDED)
        )
        return (await connection.execute(discarded)).rowcount


async def _resolve(connection: AsyncConnection, run_id: str, which: ColumnElement[bool], now: dt.datetime) -> int:
    action = select(replayed_records.c.action).where(replayed_records.c.run_id == run_id).limit(1)
    resolved = (
        update(table)
        .where(
            table.c.origin_run_id == await origin_of(connection, run_id),
            which,
            or_(table.c.resolved.is_(False), table.c.resolution_action == DISCARDED),
        )
        .values(
            resolved=True,
            resolved_at=now,
            resolution_action=(await connection.execute(action)).scalar_one_or_none() or REPROCESSED,
            replay_run_id=run_id,
        )
    )
    return (await connection.execute(resolved)).rowcount
