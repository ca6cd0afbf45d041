"""Enters the runs of a stream: its windows, and those beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import bindparam, exists, select

from loom_coordinator.db import run_rows
from loom_coordinator.db.run import Run
from loom_coordinator.db.streams import Stream
from loom_coordinator.db.tables.runs import pipeline_runs
from loom_coordinator.db.unit_of_work import UnitOfWork

_LOOKED_AT = select(
    exists().where(
        pipeline_runs.c.stream == bindparam("stream_id"),
        pipeline_runs.c.plan == bindparam("plan"),
        pipeline_runs.c.preflight.is_not(None),
    )
)


async def begun(
    unit: UnitOfWork,
    stream: Stream,
    run_id: str,
    plan: str,
    template: Mapping[str, Any],
    number: int,
    *,
    canary_of: str | None = None,
    began_at: Mapping[str, Any] | None = None,
) -> Run:
    """Enter a run of a stream, which nobody else knows before the unit ends, and return it."""
    values = {
        "run_id": run_id,
        "plan": plan,
        "execution_date": unit.now,
        "started_at": unit.now,
        "status": run_rows.RUNNING,
        "epoch": 1,
        "owner": unit.owner,
        "stream": stream.stream_id,
        "stream_window": number,
        "canary_of": canary_of,
        "began_at": began_at,
    }
    return await run_rows.enter(unit, {**template, **values})


async def looked_at(unit: UnitOfWork, stream_id: str, plan: str) -> bool:
    """Tell whether source and destination were looked at before a window of this plan read."""
    return bool((await unit.connection.execute(_LOOKED_AT, {"stream_id": stream_id, "plan": plan})).scalar_one())
