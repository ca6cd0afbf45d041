"""Keeps what loaded records came to, for a day, of runs over records that somebody gave and waits for."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence

from sqlalchemy import delete, func, select

from loom_common.contracts.v1 import BatchFact
from loom_coordinator.db.tables.outcomes import record_outputs as table
from loom_coordinator.db.unit_of_work import UnitOfWork

MOST = 100
"""The most records of a run whose outputs are kept."""
KEPT = dt.timedelta(hours=24)
"""Says how long they are kept."""


async def keep(unit: UnitOfWork, facts: Sequence[BatchFact]) -> None:
    """Keep the outputs that these facts tell, up to `MOST` of a run. Those that are kept already are written again."""
    if not facts:
        return
    held = await _held(unit, {fact.header.run_id for fact in facts})
    rows = {}
    for fact in facts:
        run_id = fact.header.run_id
        for each in fact.outputs[: max(0, MOST - held[run_id])]:
            rows[run_id, each.record_id] = {
                "run_id": run_id,
                "record_id": each.record_id,
                "output": each.output,
                "kept_until": unit.now + KEPT,
            }
        held[run_id] += len(fact.outputs)
    await unit.upsert(table, list(rows.values()))


async def _held(unit: UnitOfWork, run_ids: set[str]) -> Counter[str]:
    counted = select(table.c.run_id, func.count()).where(table.c.run_id.in_(sorted(run_ids))).group_by(table.c.run_id)
    return Counter({row[0]: row[1] for row in await unit.connection.execute(counted)})


async def forget_old(unit: UnitOfWork) -> None:
    """Remove what has been kept long enough."""
    await unit.connection.execute(delete(table).where(table.c.kept_until < unit.now))
