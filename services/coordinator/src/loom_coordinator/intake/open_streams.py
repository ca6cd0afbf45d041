"""Opens a stream where a pipeline that never ends is asked for, or lets the one go on that there is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loom_common.contracts.v1 import RunAccepted
from loom_common.domain.definition.streams.settings import seconds_of
from loom_common.domain.run.plan import Plan
from loom_common.domain.values.ids import window_run_id
from loom_common.domain.values.urls import redacted
from loom_common.ports.payloads import PayloadStore
from loom_coordinator.db import run_rows, streams
from loom_coordinator.db.streams import Stream
from loom_coordinator.db.unit_of_work import UnitOfWork
from loom_coordinator.intake import run_commands, stream_commands
from loom_coordinator.intake.begin_at import Start
from loom_coordinator.intake.definitions import trials
from loom_coordinator.lifecycle import slices, stream_windows
from loom_coordinator.lifecycle.streams import canaries


async def go_on(
    unit: UnitOfWork,
    payloads: PayloadStore,
    plan: Plan,
    columns: Mapping[str, Any],
    canary: float | None = None,
    start: Start | None = None,
) -> RunAccepted:
    """Open the stream of a plan, or let it go on: windows that wait are resumed, and where the plan is another one, the
    next window has it, or a `canary` share of its records. With a `start`, the next window begins elsewhere. `columns`
    are those of the row of each window. Raises `ConfigurationError` where the plan cannot have a share, or the stream
    cannot begin there."""
    stream_id, pipeline = str(plan.stream), plan.pipeline
    limits = pipeline.windows
    assert limits is not None
    plan_hash = await payloads.put(plan.encoded())
    every = seconds_of(limits)
    said = {"plan": plan_hash, "template": dict(columns), "every": every, "records": limits.records}
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
    opened = False
    canary = canary or await trials.asked(unit, stream_id, pipeline, columns)
    if canary is not None:
        await streams.lock_windows(unit, stream_id)
        await trials.begin(unit, stream_id, pipeline, said, canary)
        await stream_commands.resume(unit, stream_id)
    elif await streams.enter(unit, row):
        opened = True
        if start is not None:
            await start(unit, stream_id)
    else:
        await streams.lock_windows(unit, stream_id)
        there = await streams.lock(unit, stream_id)
        if there is not None and there.canary is not None:
            canary = trials.kept(there, columns)
            await streams.change(unit, stream_id, state=streams.RUNNING)
        elif there is not None and canaries.is_rolled_back(there, columns):
            await streams.change(unit, stream_id, state=streams.RUNNING)  # the other version goes on
        else:
            await streams.change(unit, stream_id, state=streams.RUNNING, **said)
            for each in await streams.open_windows(unit.connection, stream_id):
                await run_rows.change(unit, each.run_id, day_budget=columns.get("day_budget"))
            await _replace_unread(unit, stream_id, plan_hash, columns)
        if start is not None:
            await start(unit, stream_id)
        await stream_commands.resume(unit, stream_id)
    await stream_windows.go_on(unit, stream_id, look=True)
    waiting = await streams.open_windows(unit.connection, stream_id)
    there = await streams.find(unit.connection, stream_id)
    assert there is not None, "it was entered"
    # A stream that waits for a place has no window; its next one is known by its number.
    number = waiting[0].number if waiting else there.number + 1
    run_id = waiting[0].run_id if waiting else window_run_id(stream_id, number)
    known = (await run_rows.lock(unit, [run_id])).get(run_id)
    return RunAccepted(
        run_id=run_id,
        pipeline=pipeline.name,
        status=run_rows.RUNNING,
        epoch=1 if known is None else known.epoch,
        stream=stream_id,
        window=number,
        canary=canary,
        opened=opened,
        begins_at=await _begins_at(unit, there),
    )


async def _begins_at(unit: UnitOfWork, stream: Stream) -> str | None:
    """Return the place where a stream begins that somebody has named, while no window has read from there."""
    if stream.moving is not None:
        return str(stream.moving["place"])
    newest = await run_rows.find(unit.connection, window_run_id(stream.stream_id, stream.number))
    unread = newest is not None and newest.began_at is not None and newest.totals.tally.extracted == 0
    return None if newest is None or newest.began_at is None or not unread else str(newest.began_at["place"])


async def _replace_unread(unit: UnitOfWork, stream_id: str, plan: str, columns: Mapping[str, Any]) -> None:
    """Give the new version of a pipeline to a window that has asked for no slice yet, because its source or its
    destination was not ready: it would never close."""
    for run in (await streams.lock_windows(unit, stream_id)).values():
        if run.plan != plan and await slices.asked_for_none(unit, run.run_id):
            await run_rows.change(unit, run.run_id, plan=plan, **columns)
            fresh = (await run_rows.lock(unit, [run.run_id]))[run.run_id]
            await run_commands.resume(unit, fresh)
