"""Gives quarantined records to replays, each to one replay at a time."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import func, insert, select, update

from loom_common.async_engine import AsyncConnection, AsyncEngine
from loom_common.domain.run.plan import Replay
from loom_quarantine.db.errors import transaction
from loom_quarantine.db.tables import id_is_among, replayed_records
from loom_quarantine.db.tables import quarantined_records as table
from loom_quarantine.db.threads import taken_by_another
from loom_quarantine.resolution import MANUAL_FIX, REPROCESSED, RESCORED


@dataclass(frozen=True, slots=True)
class KeptInput:
    """Holds a record as it was kept back: what a replay reads in place of a source."""

    id: int
    """The id of its row in `quarantined_records`."""
    record_id: str
    record_data: dict[str, Any]
    failure_stage: str
    failure_reason: str
    code: str
    error_details: dict[str, Any] | None
    output: dict[str, Any] | None = None
    derived: dict[str, Any] | None = None
    """Says of which record a step made it, as `Derived` does; None for a record of the source."""


_COLUMNS = tuple(table.c[field.name] for field in fields(KeptInput))


@dataclass(frozen=True, slots=True)
class TakenPage:
    """Holds records in the order of their rows' ids, the next cursor, and whether these are the last."""

    records: list[KeptInput]
    cursor: int | None
    end: bool


async def page(engine: AsyncEngine, replay: Replay, run_id: str, cursor: int | None, limit: int) -> TakenPage:
    """Take the next unresolved records for the replay `run_id` that no other replay has, all or those named.

    They are recorded as taken by `run_id`, so that the same page can be read again, whatever happened to its records
    since. Raises `DependencyUnavailable`."""
    async with transaction(engine) as connection:
        records = await _taken_before(connection, run_id, cursor, limit) or await _take(
            connection, replay, run_id, cursor, limit
        )
    return TakenPage(records, records[-1].id if records else cursor, end=len(records) < limit)


async def before(engine: AsyncEngine, run_id: str, cursor: int | None) -> list[KeptInput]:
    """Return everything that the replay took before the page at `cursor`. Raises `DependencyUnavailable`."""
    if cursor is None:
        return []
    query = (
        select(*_COLUMNS)
        .join(replayed_records, replayed_records.c.source_id == table.c.id)
        .where(replayed_records.c.run_id == run_id, table.c.id <= cursor)
        .order_by(table.c.id)
    )
    async with transaction(engine) as connection:
        return [KeptInput(*row) for row in await connection.execute(query)]


async def _taken_before(connection: AsyncConnection, run_id: str, cursor: int | None, limit: int) -> list[KeptInput]:
    query = (
        select(*_COLUMNS)
        .join(replayed_records, replayed_records.c.source_id == table.c.id)
        .where(replayed_records.c.run_id == run_id, table.c.id > (cursor or 0))
        .order_by(table.c.id)
        .limit(limit)
    )
    return [KeptInput(*row) for row in await connection.execute(query)]


async def _take(
    connection: AsyncConnection, replay: Replay, run_id: str, cursor: int | None, limit: int
) -> list[KeptInput]:
    origin = replay.origin or replay.run_id
    if connection.dialect.name == "postgresql":  # one replay at a time selects and takes; SQLite has one writer anyway
        await connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"loom/{origin}", 0))))
    query = (
        select(*_COLUMNS)
        .where(
            table.c.run_id == replay.run_id,
            table.c.id > (cursor or 0),
            table.c.resolved.is_(False),
            ~taken_by_another(run_id),
            *([] if replay.record_ids is None else [id_is_among(connection.dialect, replay.record_ids)]),
        )
        .order_by(table.c.id)
        .limit(limit)
    )
    records = [KeptInput(*row) for row in await connection.execute(query)]
    if records:
        action = await _action(connection, replay)
        entries = [
            {
                "run_id": run_id,
                "record_id": record.record_id,
                "origin_run_id": origin,
                "source_id": record.id,
                "action": action,
            }
            for record in records
        ]
        await connection.execute(insert(replayed_records), entries)
        taken = select(replayed_records.c.source_id).where(replayed_records.c.run_id == run_id)
        await connection.execute(update(table).where(table.c.id.in_(taken)).values(replay_run_id=run_id))
    return records


async def _action(connection: AsyncConnection, replay: Replay) -> str:
    """Return the resolution of the records: an edited record that is replayed again counts as edited."""
    if replay.outputs:
        return RESCORED
    before = select(replayed_records.c.action).where(replayed_records.c.run_id == replay.run_id).limit(1)
    edited = replay.edits or (await connection.execute(before)).scalar_one_or_none() == MANUAL_FIX
    return MANUAL_FIX if edited else REPROCESSED
