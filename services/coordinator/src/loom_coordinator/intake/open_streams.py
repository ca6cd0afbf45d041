"""Opens a stream where a pipeline that never ends is asked for, or lets the one go on that there is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loom_common.contracts.v1 import RunAccepted
from loom_common.domain.definition.streams.settings import EMBEDDED_ALONE, seconds_of
from loom_common.domain.run.plan import Plan
from loom_common.domain.values.urls import redacted
from loom_common.errors import InvalidDefinition, Problem
from loom_common.ports.payloads import PayloadStore
from loom_coordinator.db import run_rows, streams
from loom_coordinator.db.unit_of_work import UnitOfWork
from loom_coordinator.intake import stream_commands
from loom_coordinator.lifecycle import stream_windows


async def go_on(unit: UnitOfWork, payloads: PayloadStore, plan: Plan, columns: Mapping[str, Any]) -> RunAccepted:
    """Open the stream of a plan, or let it go on: windows that wait are resumed, and where the plan is another one, the
    next window has it. `columns` are those of the row of each window. Raises `InvalidDefinition` on a cluster."""
    if unit.owner is None:
        raise InvalidDefinition([Problem(("mode",), "'streaming'", EMBEDDED_ALONE)])
    stream_id, pipeline = str(plan.stream), plan.pipeline
    limits = pipeline.windows
    assert limits is not None
    plan_hash = await payloads.put(plan.encoded())
    every = seconds_of(limits)
    said = {"plan": plan_hash, "template": dict(columns), "every": every, "records": limits.records}
    known = await streams.find(unit.connection, stream_id)
    if known is None:
        row = {
            "stream_id": stream_id,
            "pipeline_name": pipeline.name,
            "source": redacted(pipeline.extract.source),
            "state": streams.RUNNING,
            "opened_at": unit.now,
            "number": 0,
            "closed": True,
            **said,
        }
        await streams.enter(unit, row)
    else:
        await streams.change(unit, stream_id, state=streams.RUNNING, **said)
        await stream_commands.resume(unit, stream_id)
    await stream_windows.go_on(unit, stream_id)
    waiting = await streams.open_windows(unit.connection, stream_id)
    first = waiting[0]
    run = (await run_rows.lock(unit, [first.run_id]))[first.run_id]
    return RunAccepted(
        run_id=first.run_id,
        pipeline=pipeline.name,
        status=run_rows.RUNNING,
        epoch=run.epoch,
        stream=stream_id,
        window=first.number,
    )
