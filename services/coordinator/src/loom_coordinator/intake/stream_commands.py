"""Carries out commands that are meant for a stream: on each of its windows that is at work."""

from __future__ import annotations

from dataclasses import replace

from loom_common.contracts.v1 import RunAccepted, RunCommand
from loom_common.domain.values.ids import STREAM_PREFIX
from loom_common.errors import ConfigurationError, NotFound
from loom_coordinator.db import run_rows, streams
from loom_coordinator.db.run import Run
from loom_coordinator.db.streams import Stream
from loom_coordinator.db.unit_of_work import UnitOfWork
from loom_coordinator.intake import run_commands
from loom_coordinator.intake.definitions import trials
from loom_coordinator.lifecycle import stream_windows
from loom_coordinator.lifecycle.streams import canaries, moves


async def carry_out(unit: UnitOfWork, command: RunCommand) -> RunAccepted:
    """Carry out a command, and say how the stream stands now. Raises `ConfigurationError` where it cannot be done."""
    stream = await _stream(unit, command.run_id)
    stream_id = stream.stream_id
    await streams.lock_windows(unit, stream_id)
    match command.verb:
        case "pause":
            await stream_windows.stop(unit, stream_id)
            status = run_rows.PAUSED
        case "resume":
            if stream.state == streams.DRAINED and not await streams.open_windows(unit.connection, stream_id):
                raise ConfigurationError(
                    f"The stream {stream_id} is drained: there is nothing to resume. `loom run` of the pipeline "
                    f"{stream.pipeline_name} opens it again where it ended."
                )
            await resume(unit, stream_id, command.budget)
            await stream_windows.go_on(unit, stream_id)
            status = run_rows.RUNNING
        case "cancel":
            status = await _cancel(unit, stream)
        case "drain":
            status = await drain(unit, stream_id)
            if unit.owner is None:  # embedded, whoever drains it resumes it, too, and works on it
                await resume(unit, stream_id)
                await stream_windows.go_on(unit, stream_id)
        case "promote":
            status = await trials.promote(unit, stream)
        case "rollback":
            status = await trials.roll_back(unit, stream)
        case "priority":
            status = await _prioritize(unit, stream, command.priority)
    waiting = await streams.open_windows(unit.connection, stream_id)
    first = waiting[0].number if waiting else stream.number
    run_id = waiting[0].run_id if waiting else stream_id
    status = streams.DRAINING if waiting and status == streams.DRAINED else status
    epoch = (await run_rows.lock(unit, [run_id]))[run_id].epoch if waiting else 1
    return RunAccepted(
        run_id=run_id, pipeline=stream.pipeline_name, status=status, epoch=epoch, stream=stream_id, window=first
    )


async def resume(unit: UnitOfWork, stream_id: str, budget: float | None = None) -> None:
    """Let the windows go on that wait, and take over those whose engine is gone."""
    stream = await streams.find(unit.connection, stream_id)
    assert stream is not None
    await moves.ask_again(unit, stream_id)
    for each in await streams.open_windows(unit.connection, stream_id):
        run = (await run_rows.lock(unit, [each.run_id]))[each.run_id]
        if run.status != run_rows.RUNNING or run.owner != unit.owner:
            more = budget if run.reason is not None else None
            await run_commands.resume(unit, run, more, closing=_closes(stream, run))


async def resume_by_itself(unit: UnitOfWork, run: Run) -> None:
    """Let a window go on whose stream has waited for the next day, and the stream with it."""
    stream = await streams.find(unit.connection, str(run.stream))
    assert stream is not None, "a window has a stream"
    await run_commands.resume(unit, run, closing=_closes(stream, run))
    await stream_windows.go_on(unit, stream.stream_id)


def _closes(stream: Stream, run: Run) -> bool:
    """Tell whether a window takes nothing more, because the next one has another version or begins elsewhere. Pure."""
    return run.canary_of is None and (run.plan != stream.plan or stream.moving is not None)


async def drain(unit: UnitOfWork, stream_id: str) -> str:
    """End a stream once its source has nothing more for the moment. One that is paused goes on for it."""
    stream = await streams.lock(unit, stream_id)
    if stream is None or stream.state == streams.DRAINED:
        return streams.DRAINED
    await streams.change(unit, stream_id, state=streams.DRAINING)
    return streams.DRAINING


async def _prioritize(unit: UnitOfWork, stream: Stream, priority: int | None) -> str:
    """Change the share that a stream has beside other runs: that of its windows at work, and of those to come."""
    for each in await streams.open_windows(unit.connection, stream.stream_id):
        await run_commands.prioritize(unit, (await run_rows.lock(unit, [each.run_id]))[each.run_id], priority)
    canary = canaries.of_stream(stream)
    trial = None if canary is None else replace(canary, template={**canary.template, "priority": priority}).row()
    template = {**stream.template, "priority": run_commands.given(priority)}
    await streams.change(unit, stream.stream_id, template=template, canary=trial)
    return stream.state


async def _cancel(unit: UnitOfWork, stream: Stream) -> str:
    """End a stream now. What its windows loaded stays; what was left to a version on trial, and not read, counts as
    cancelled."""
    await streams.change(unit, stream.stream_id, state=streams.DRAINED, moving=None)
    windows = await streams.open_windows(unit.connection, stream.stream_id)
    runs = await run_rows.lock(unit, [each.run_id for each in windows])
    unread = {
        run_id: await stream_windows.unread_beside(unit, run)
        for run_id, run in runs.items()
        if run.canary_of is not None
    }
    for each in windows:
        run = (await run_rows.lock(unit, [each.run_id]))[each.run_id]
        await run_commands.cancel(unit, run, with_its_stream=True, unread=unread.get(each.run_id, 0))
    return run_rows.CANCELLED


async def _stream(unit: UnitOfWork, name: str) -> Stream:
    """Return the stream of this id, or the one that a run is a window of. Raises `ConfigurationError`."""
    if name.startswith(STREAM_PREFIX):
        stream = await streams.find(unit.connection, name)
        if stream is None:
            raise NotFound(f"There is no stream {name} in the coordinator's state database.")
        return stream
    run = await run_rows.find(unit.connection, name)
    if run is None:
        raise run_rows.unknown(name)
    stream = None if run.stream is None else await streams.find(unit.connection, run.stream)
    if stream is None:
        raise ConfigurationError(f"Run {name} is no window of a stream: it ends with its source.")
    return stream
