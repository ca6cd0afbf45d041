"""Implements `loom promote` and `loom rollback`, which end the trial of a version of a pipeline in its stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loom.cli.commands.run import RunId
from loom.cli.options.common import Common
from loom.cli.options.groups import grouped

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from loom.project.config import LoomConfig
    from loom.session import RunEngine
    from loom_common.contracts.v1 import RunAccepted


@grouped
def promote(run_id: RunId, *, common: Common) -> None:
    """Give the version on trial all records of its stream, from the next window on. RUN is the stream's id, or that of
    a window. A stream that is paused stays paused."""
    settings = common.configuration()
    accepted = _carried_out(settings, run_id, lambda session, stream: session.promote(stream), verbose=common.verbose)
    _say(accepted, "the version that was on trial has all records from the next window on", common.flags)


@grouped
def rollback(run_id: RunId, *, common: Common) -> None:
    """Give the version on trial no more records of its stream. RUN is the stream's id, or that of a window.

    What it is at work on is still loaded by it. Where it has failed over some records, or the stream is paused, the
    other version takes them: `loom resume` goes on then."""
    settings = common.configuration()
    accepted = _carried_out(settings, run_id, lambda session, stream: session.roll_back(stream), verbose=common.verbose)
    _say(accepted, "the version that was on trial gets no more records", common.flags)


def _carried_out(
    settings: LoomConfig, run_id: str, ask: Callable[[RunEngine, str], Awaitable[RunAccepted]], *, verbose: bool
) -> RunAccepted:
    from loom.cli.commands import follow, state
    from loom.session import open_session
    from loom_common.errors import ConfigurationError

    stream_id = follow.wait_for(state.stream_meant(settings, run_id))
    if stream_id is None and not settings.distributed:
        raise ConfigurationError(f"Run {run_id} is no window of a stream, so no version has a share of its records.")

    async def carry_out() -> RunAccepted:
        follow.log_on_stderr(settings, verbose=verbose)
        async with open_session(settings, cluster=settings.distributed, follows=False) as session:
            return await ask(session, stream_id or run_id)  # of a cluster's, its coordinator says so

    return follow.wait_for(carry_out())


def _say(accepted: RunAccepted, what: str, flags: str) -> None:
    from loom.cli.output import terminal

    terminal.say(f"{accepted.stream}: {what}. `loom status {accepted.stream}{flags}` shows its windows.")
