"""Takes back records that a run loaded, and that were withdrawn from its destination after they were scored again."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from sqlalchemy import Delete, delete, update

from loom_common.async_engine import AsyncConnection
from loom_common.contracts.v1 import RecordsQuarantined
from loom_migrations.upserts import inserting
from loom_quarantine.db.rows import rows_of
from loom_quarantine.db.tables import id_is_among, replayed_records
from loom_quarantine.db.tables import quarantined_records as table

_WAITS = {"resolved": False, "resolved_at": None, "resolution_action": None}


async def take_back(connection: AsyncConnection, message: RecordsQuarantined, now: dt.datetime) -> None:
    """Store the message's records as ones that wait. A record that the run had kept back before it was loaded waits
    again, with the new reason. Doing so twice has no further effect."""
    names = [record.record_id for record in message.records]
    rows = [{**row, "origin_run_id": message.run_id} for row in rows_of(message, now)]
    insert = inserting(connection.dialect.name, table)
    changed = {name: insert.excluded[name] for name in ("failure_reason", "evaluation_scores", "record_data", "output")}
    statement = insert.on_conflict_do_update(index_elements=["run_id", "record_id"], set_=changed)
    await connection.execute(statement, rows)
    mine = table.c.origin_run_id == message.run_id, id_is_among(connection.dialect, names)
    await connection.execute(update(table).where(*mine).values(**_WAITS))
    await connection.execute(_claims_of(connection, message.run_id, names))


def _claims_of(connection: AsyncConnection, run_id: str, names: Sequence[str]) -> Delete:
    """Forget that a replay loaded the records: another one may do so now."""
    claims = replayed_records
    loaded = id_is_among(connection.dialect, names, claims.c.record_id)
    return delete(claims).where(claims.c.origin_run_id == run_id, loaded)
