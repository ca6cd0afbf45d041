"""Stores quarantined records, one row per record of a run. The last stage that quarantined the record determines the
row.

Raises `DependencyUnavailable` where the database cannot be reached."""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Sequence

from sqlalchemy import Insert, bindparam, func, select, update

from loom_common.async_engine import AsyncConnection, AsyncEngine
from loom_common.contracts.v1 import RecordsQuarantined
from loom_migrations.upserts import inserting
from loom_quarantine.db.errors import transaction
from loom_quarantine.db.rows import rows_of
from loom_quarantine.db.tables import id_is_among
from loom_quarantine.db.tables import quarantined_records as table
from loom_quarantine.db.threads import origin_of

_COUNT = select(func.count()).where(table.c.run_id == bindparam("run_id"), table.c.batch_id == bindparam("batch_id"))
_FIRST_WORD_STAYS = frozenset({"run_id", "record_id", "quarantined_at", "origin_run_id"})


async def keep(engine: AsyncEngine, message: RecordsQuarantined, now: dt.datetime) -> int:
    """Store the message's records and return how many of the batch are stored in all. Storing twice has no further
    effect.

    A record that a replay quarantines again joins its thread; where that was resolved meanwhile, the new row is too."""
    if message.records:
        async with transaction(engine) as connection:
            origin = await origin_of(connection, message.run_id)
            rows = [{**row, "origin_run_id": origin} for row in rows_of(message, now)]
            await connection.execute(_upsert(connection.dialect.name, tuple(rows[0])), rows)
            if origin != message.run_id:
                await _resolve_as_its_thread(connection, message, origin)
    return await _stored(engine, message)


async def _stored(engine: AsyncEngine, message: RecordsQuarantined) -> int:
    """Count the stored records of the message's batch. It is a transaction of its own, after that which stored them:
    of two messages that are stored at the same time, neither sees the other's records before, and nobody would be told
    of all."""
    batch = {"run_id": message.run_id, "batch_id": message.batch_id}
    async with transaction(engine) as connection:
        return (await connection.execute(_COUNT, batch)).scalar_one()


async def _resolve_as_its_thread(connection: AsyncConnection, message: RecordsQuarantined, origin: str) -> None:
    names = [record.record_id for record in message.records]
    ends = ("record_id", "resolved_at", "resolution_action", "replay_run_id")
    resolved = await connection.execute(
        select(*(table.c[name] for name in ends)).where(
            table.c.origin_run_id == origin,
            table.c.run_id != message.run_id,
            table.c.resolved.is_(True),
            id_is_among(connection.dialect, names),
        )
    )
    for row in resolved.mappings().all():
        end = {name: row[name] for name in ends if name != "record_id"}
        here = table.c.run_id == message.run_id, table.c.record_id == row["record_id"]
        await connection.execute(update(table).where(*here).values(resolved=True, **end))


@functools.cache
def _upsert(dialect: str, columns: Sequence[str]) -> Insert:
    insert = inserting(dialect, table)
    replaced = {name: insert.excluded[name] for name in columns if name not in _FIRST_WORD_STAYS}
    return insert.on_conflict_do_update(index_elements=["run_id", "record_id"], set_=replaced)
