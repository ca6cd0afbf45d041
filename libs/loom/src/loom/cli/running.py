"""A run seen from the command line: followed to its end, or to the person's Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from loom.cli import display, report, terminal
from loom.cli.forms import Format
from loom_common.contracts.v1 import RunAccepted, RunFinished

if TYPE_CHECKING:
    from loom.config import LoomConfig
    from loom.session import Session

INTERRUPTED = 130
EXIT_CODES = {"succeeded": 0, "failed": 1, "partial": 3, "cancelled": 4}
PAUSED = 3
"""Someone else paused the run: part of it is done."""

Begin = Callable[["Session"], Awaitable[RunAccepted]]
T = TypeVar("T")


def wait_for(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's asynchronous part."""
    if sys.platform == "win32":
        return asyncio.run(work)
    import uvloop

    return uvloop.run(work)


async def carry_out(
    config: LoomConfig, begin: Begin, form: Format, *, verbose: bool, flags: str = "", expected: int | None = None
) -> int:
    """Begin a run, show it until it ends, report. Returns the exit code.

    The first Ctrl-C pauses the run, the second ends this process at once. `flags` are added to suggested commands;
    `expected` is how many records there will be, where that is known."""
    from loom.session import open_session

    screen = display.choose(terminal.stderr(), form, expected=expected, verbose=verbose)
    with screen:
        _log(config, verbose=verbose)
        async with open_session(config, cluster=config.distributed) as session:
            accepted = await begin(session)
            screen.started(accepted.run_id, accepted.pipeline)
            interrupted = _interrupt_on_ctrl_c(session, accepted.run_id, screen)
            finished = await _follow(session, accepted.run_id, screen)
    if finished is not None:
        _print(finished.report.model_dump(mode="json"), form, flags)
        return EXIT_CODES.get(finished.report.status, 1)
    if form is Format.JSON:
        terminal.print_json({"run_id": accepted.run_id, "pipeline": accepted.pipeline, "status": "paused"})
    terminal.say(f"{accepted.run_id} is paused; nothing is lost. Resume with: loom resume {accepted.run_id}{flags}")
    return INTERRUPTED if interrupted.is_set() else PAUSED


async def _follow(session: Session, run_id: str, screen: display.Display) -> RunFinished | None:
    async for message in session.follow(run_id):
        if isinstance(message, RunFinished):
            return message
        screen.show(message)
    return None


def _interrupt_on_ctrl_c(session: Session, run_id: str, screen: display.Display) -> asyncio.Event:
    """From now on, Ctrl-C pauses the run; the event tells whether it did."""
    interrupted = asyncio.Event()
    loop = asyncio.get_running_loop()
    pausing: set[asyncio.Task[None]] = set()

    def on_signal() -> None:
        if interrupted.is_set():
            os._exit(INTERRUPTED)
        interrupted.set()
        screen.note("stopping after the batches in hand; Ctrl-C again stops at once")
        pausing.add(loop.create_task(session.interrupt(run_id)))

    loop.add_signal_handler(signal.SIGINT, on_signal)
    return interrupted


async def cancel(config: LoomConfig, run_id: str, *, verbose: bool) -> RunAccepted:
    """Cancel a run, and see it end."""
    from loom.session import open_session

    screen = display.choose(terminal.stderr(), Format.JSON, verbose=verbose)
    _log(config, verbose=verbose)
    async with open_session(config, cluster=config.distributed) as session:
        accepted = await session.cancel(run_id)
        if accepted.status in EXIT_CODES:
            return accepted
        finished = await _follow(session, run_id, screen)
    return accepted if finished is None else accepted.model_copy(update={"status": finished.report.status})


def _log(config: LoomConfig, *, verbose: bool) -> None:
    """Log on what stderr is now: within a live display, lines stand above it."""
    from loom_common.telemetry import configure_logging

    changed: dict[str, Any] = {"format": "console", **({"level": "info"} if verbose else {})}
    configure_logging(config.settings().log.model_copy(update=changed))


def _print(document: dict[str, Any], form: Format, flags: str) -> None:
    if form is Format.JSON:
        terminal.print_json(document)
    else:
        report.print_report(document, terminal.stdout(), flags)
