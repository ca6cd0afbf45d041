"""Follows a stream from the command line: it shows its windows as they close, until it is drained or stopped."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loom.cli.commands import follow
from loom.cli.commands.follow import Begin, log_on_stderr
from loom.cli.output import terminal
from loom.cli.output.formats import Format
from loom_common.interpreter.garbage import collect_less
from loom_common.service import entry

if TYPE_CHECKING:
    from loom.cli.output.streams.windows import WindowDisplay
    from loom.project.config import LoomConfig
    from loom.session import RunEngine
    from loom_common.contracts.v1 import RunAccepted, RunReport


@dataclass(slots=True)
class _Seen:
    """Says how a stream that was followed came to its end."""

    last: RunReport | None = None
    """The report of the window that ended last."""
    reason: str | None = None
    """Says why a window was paused, if it was Loom that paused it."""
    paused: str | None = None
    """Names the run of the window that is paused; None where none is."""
    notice: str | None = None
    """Says in a sentence for people what the paused window waits for."""


async def carry_out(
    config: LoomConfig, begin: Begin, form: Format, *, verbose: bool, flags: str = "", wait: bool = False
) -> int:
    """Open a stream, or let it go on, and show its windows. Return the exit code.

    The first Ctrl-C, or SIGTERM, pauses the stream and ends this process within `follow.STOP_SECONDS`, the second ends
    it at once."""
    from loom.cli.output.streams import windows
    from loom.session import open_session
    from loom_coordinator.db.streams import DRAINED

    screen = windows.choose(terminal.stderr(), form, verbose=verbose)
    seen = _Seen()
    with screen:
        log_on_stderr(config, verbose=verbose)
        async with open_session(config, wait=wait) as session:
            entry.on_interrupt("interrupted as the stream was opened; run it again: it goes on where it was")
            collect_less()
            accepted = await begin(session)
            stream = str(accepted.stream)
            if accepted.status == DRAINED:
                terminal.say(f"{stream} is drained already.")
                return 0
            screen.opened(stream, accepted)
            interrupted = _pause_on_ctrl_c(session, stream, screen, flags)
            await _follow(session, accepted, screen, seen)
            if seen.paused is not None and not interrupted.is_set():
                await session.pause(stream)
    entry.on_interrupt("")
    return _told(stream, seen, screen, interrupted=interrupted.is_set(), flags=flags)


async def _follow(session: RunEngine, accepted: RunAccepted, screen: WindowDisplay, seen: _Seen) -> None:
    from loom.cli.output.waits import Waits
    from loom_common.contracts.v1 import RunFinished

    waits = Waits(screen.waits)
    async with waits.counting_down(), screen.quiet_told():
        async for event in session.follow_stream(str(accepted.stream), accepted.window or 1):
            if isinstance(event, RunFinished):
                seen.last = event.report
                screen.closed(event.report)
                continue
            screen.show(event)
            screen.waits_for_the_day(event.run_id, event.notice if event.resumes_at is not None else None)
            if event.resumes_at is not None:
                continue
            if event.status == "paused":
                seen.paused, seen.reason = event.run_id, event.reason or seen.reason
                seen.notice = event.notice or seen.notice
            else:
                waits.heard(event.notice)


def _told(stream: str, seen: _Seen, screen: WindowDisplay, *, interrupted: bool, flags: str) -> int:
    """Say how it ended, and return the exit code."""
    last = seen.last
    if seen.paused is not None or interrupted:
        more = " --budget USD" if seen.reason == "budget_exhausted" else ""
        if seen.notice is not None:
            terminal.say(seen.notice)
        terminal.say(
            f"{stream} is paused after {screen.totals}; nothing is lost. Go on with: loom resume {stream}{more}{flags}"
        )
    elif last is not None and last.status == "failed":
        terminal.say(
            f"{stream} has stopped after {screen.totals}, because the window {last.run_id} failed: {last.error} Go on "
            f"with: loom resume {stream}{flags}"
        )
    else:
        terminal.say(f"{stream} is drained after {screen.totals}. `loom run` opens it again where it ended.")
    if interrupted:
        return entry.INTERRUPTED
    if seen.paused is not None:
        return follow.PAUSED
    return 0 if last is None else 1 if last.status == "failed" else 0


def _pause_on_ctrl_c(session: RunEngine, stream: str, screen: WindowDisplay, flags: str) -> asyncio.Event:
    """Let Ctrl-C and SIGTERM pause the stream; the event that is returned tells whether one did."""
    interrupted = asyncio.Event()
    loop = asyncio.get_running_loop()
    pausing: set[asyncio.Task[RunAccepted]] = set()
    entry.on_interrupt(
        f"{stream} is stopped; what was in flight is done again, nothing is lost. Go on with: loom resume "
        f"{stream}{flags}"
    )

    def on_signal() -> None:
        if interrupted.is_set():
            entry.end_interrupted()
        interrupted.set()
        # This is a thread, because it may be the event loop that does not come back.
        limit = threading.Timer(follow.STOP_SECONDS, entry.end_interrupted)
        limit.daemon = True
        limit.start()
        screen.note(f"stopping after what is in flight, within {follow.STOP_SECONDS:g} s; Ctrl-C again stops at once")
        pausing.add(loop.create_task(session.pause(stream)))

    entry.call_on_interrupt(on_signal)
    return interrupted
