"""Follows a run to its end, for Python code that waits for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from loom.display.live_progress import LiveProgress
from loom.project.config import LoomConfig
from loom.session import RunEngine, open_session, settled_report
from loom_common.contracts.v1 import RunAccepted, RunFinished, RunReport
from loom_common.errors import ConfigurationError, PermanentError

Ask = Callable[[RunEngine], Awaitable[RunAccepted]]
"""Asks for a run: to start one, or to go on with one."""


Refused = Callable[[], Awaitable[None]]
"""Is called where a run cannot start."""


async def nothing() -> None:
    """Do nothing about a run that cannot start: the error is raised all the same."""


async def report_of(config: LoomConfig, ask: Ask, *, wait: bool, refused: Refused = nothing) -> RunReport:
    """Return the report of the run that is asked for, at its end, and show its progress in a notebook. `refused` is
    called where it cannot start. Raises `ConfigurationError` then, and `PermanentError` where it was paused."""
    finished, notice, live = None, None, LiveProgress()
    async with open_session(config, wait=wait) as session:
        try:
            accepted = await ask(session)
        except ConfigurationError:
            await refused()
            raise
        try:
            async for event in session.follow(accepted.run_id):
                if isinstance(event, RunFinished):
                    finished = event
                else:
                    notice = event.notice if event.reason else None
                    live.show(event)
        finally:
            live.end()
    if finished is not None:
        return await settled_report(config, finished.report)
    if notice:
        raise PermanentError(notice)
    raise PermanentError(f"Run {accepted.run_id} was paused from outside: loom resume {accepted.run_id}.")
