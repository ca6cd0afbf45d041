"""Implements `loom drain`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from loom.cli.commands.run import RunId
from loom.cli.options.common import Common, Form
from loom.cli.options.groups import grouped
from loom.cli.output.formats import Format

if TYPE_CHECKING:
    from loom.project.config import LoomConfig
    from loom.session import RunEngine
    from loom_common.contracts.v1 import RunAccepted

_LOOK_SECONDS = 0.2


@grouped
def drain(run_id: RunId, form: Form = Format.TABLE, *, common: Common) -> None:
    """End a stream once its source has nothing more. RUN is the stream's id, or that of a window.

    What has arrived is loaded first. While records keep coming, it goes on: stop what sends them, or pause the stream
    with Ctrl-C. A stream that nobody works on is opened for it."""
    from loom.cli.commands import follow, state
    from loom.cli.commands.streams import following
    from loom.cli.output import terminal
    from loom_common.errors import ConfigurationError
    from loom_coordinator.db import streams

    settings = common.configuration()
    stream_id = follow.wait_for(state.stream_meant(settings, run_id))
    if stream_id is None and not settings.distributed:
        raise ConfigurationError(f"Run {run_id} is no window of a stream: it ends with its source.")
    stream_id = stream_id or run_id  # of a cluster's, its coordinator says so
    if not settings.distributed:
        stream = follow.wait_for(state.ask(settings, lambda views: views.stream(stream_id)))
        if stream is not None and stream.state == streams.DRAINED:
            terminal.say(f"{stream_id} is drained already.")
            return
        if follow.wait_for(_elsewhere(settings, stream_id, verbose=common.verbose)):
            terminal.say(f"{stream_id} is drained.")
            return

    async def begin(session: RunEngine) -> RunAccepted:
        accepted = await session.drain(stream_id)
        return accepted if settings.distributed else await session.resume(stream_id)

    code = follow.wait_for(following.carry_out(settings, begin, form, verbose=common.verbose, flags=common.flags))
    raise typer.Exit(code)


async def _elsewhere(settings: LoomConfig, stream_id: str, *, verbose: bool) -> bool:
    """Ask the other process that works on a stream to drain it, and wait until it has. Return whether there is one."""
    import asyncio

    from loom.cli.commands.follow import log_on_stderr
    from loom.project.engines import alive
    from loom.session import open_session
    from loom.views import open_views
    from loom_common.service.periodic import every

    async with open_views(settings) as views:

        async def at_work() -> bool:
            return any(alive(settings.project, each.owner) for each in await views.open_windows(stream_id))

        if not await at_work():
            return False
        log_on_stderr(settings, verbose=verbose)
        async with open_session(settings, follows=False) as session:
            await session.drain(stream_id)
        async for _ in every(_LOOK_SECONDS, asyncio.Event()):
            if not await at_work():
                break
        return True
