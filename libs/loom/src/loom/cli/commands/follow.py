"""Follows a run from the command line, to its end or to the person's Ctrl-C."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from loom.cli.output import terminal
from loom.cli.output.formats import Format
from loom_common.interpreter.garbage import collect_less
from loom_common.service import entry

if TYPE_CHECKING:
    from loom.cli.output import progress
    from loom.project.config import LoomConfig
    from loom.session import RunEngine
    from loom_common.contracts.v1 import RunAccepted, RunReport

EXIT_CODES = {"succeeded": 0, "failed": 1, "partial": 3, "cancelled": 4}
BEYOND_A_LIMIT = 5
_PASSABLE = ("succeeded", "partial")
PAUSED = 3
"""Someone else paused the run: part of it is done."""

STOP_SECONDS = 5.0
"""Says how long the batches in flight may take after Ctrl-C, and how long everything may take to be closed."""
_LOOK_SECONDS = 0.05

Begin: TypeAlias = "Callable[[RunEngine], Awaitable[RunAccepted]]"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Outcome:
    """Says how a run that was followed ended, or that it is paused."""

    code: int
    """The exit code of a command that carries out this run alone."""
    run_id: str
    report: RunReport | None
    """None where the run is paused."""
    so_far: RunReport | None = None
    """The report of a paused run, as far as it has come; None where its state is not known here."""


def wait_for(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's asynchronous part. What a library would log on stderr, because nothing else takes it, the
    command's own error says."""
    logging.lastResort = logging.NullHandler()
    with entry.interrupts_restored():
        if sys.platform == "win32":
            return asyncio.run(work)
        import uvloop

        return uvloop.run(work)


async def carry_out(
    config: LoomConfig,
    begin: Begin,
    form: Format,
    *,
    verbose: bool,
    flags: str = "",
    expected: int | None = None,
    if_empty: str | None = None,
    fail_on: Mapping[str, str] | None = None,
    wait: bool = False,
    report: bool = True,
) -> Outcome:
    """Begin a run, show it until it ends, and print its report unless `report` is False. `fail_on` are limits beside
    those of the pipeline, and before them. `begin` may return a run that has ended, or is paused.

    The first Ctrl-C, or SIGTERM, pauses the run and ends this process within `STOP_SECONDS`, the second ends it at
    once. `flags` are added to suggested commands; `expected` is how many records there will be, where that is known;
    `if_empty` is said of a run that had none; `wait` is `--wait`."""
    from loom.cli.output import progress
    from loom.session import open_session, settled_report
    from loom_common.domain.quality import fail_on as limits

    screen = progress.choose(terminal.stderr(), form, expected=expected, verbose=verbose)
    with screen:
        log_on_stderr(config, verbose=verbose)
        async with open_session(config, wait=wait) as session:
            entry.on_interrupt("interrupted as a run was begun; run it again: it says whether there is one to resume")
            if not config.distributed:
                collect_less()  # the records are worked on here
            accepted = await begin(session)
            screen.started(accepted.run_id, accepted.pipeline)
            interrupted = _interrupt_on_ctrl_c(session, accepted.run_id, screen, flags)
            end = await _ended(config, accepted) or await _followed(session, accepted.run_id, screen)
    entry.on_interrupt("")
    if end.report is not None:
        settled = await settled_report(config, end.report)
        beyond = limits.passed({**settled.fail_on, **(fail_on or {})}, settled.records)
        if report:
            _print({**settled.model_dump(mode="json"), "replay_of": end.replay_of}, form, flags)
        if if_empty is not None and not settled.records["extracted"]:
            terminal.say(if_empty)
        for words in beyond:
            terminal.say(f"Beyond a limit: {words}.")
        failed = EXIT_CODES.get(settled.status, 1)
        return Outcome(BEYOND_A_LIMIT if beyond and settled.status in _PASSABLE else failed, settled.run_id, settled)
    if form is Format.JSON and report:
        paused = {"run_id": accepted.run_id, "pipeline": accepted.pipeline, "status": "paused", "reason": end.reason}
        terminal.print_json(paused)
    more = " --budget USD" if end.reason == "budget_exhausted" else ""
    terminal.say(
        f"{accepted.run_id} is paused; nothing is lost. Resume with: loom resume {accepted.run_id}{more}{flags}"
    )
    code = entry.INTERRUPTED if interrupted.is_set() else PAUSED
    return Outcome(code, accepted.run_id, None, await _so_far(config, accepted.run_id))


async def _so_far(config: LoomConfig, run_id: str) -> RunReport | None:
    """Return the report of a run as far as it has come; None where its state is not known here."""
    from loom.cli.commands import state
    from loom_common.errors import ConfigurationError

    try:
        return await state.ask(config, lambda views: views.report(run_id))
    except ConfigurationError:
        return None


@dataclass(frozen=True, slots=True)
class _End:
    """Says how a run ended, or that it was paused."""

    report: RunReport | None = None
    """None where it was paused."""
    replay_of: str | None = None
    reason: str | None = None
    """Says why it was paused, if it was Loom that paused it."""


async def _ended(config: LoomConfig, accepted: RunAccepted) -> _End | None:
    """Return the end of a run of which nothing more will be told; None of one that is at work."""
    from loom.cli.commands import state

    if accepted.status == "paused":
        return _End()
    if accepted.status not in EXIT_CODES:
        return None
    report = await state.ask(config, lambda views: views.report(accepted.run_id))
    return None if report is None else _End(report)


async def _followed(session: RunEngine, run_id: str, screen: progress.Display) -> _End:
    """Follow a run until it has ended, or is paused."""
    from loom.cli.output.waits import Waits
    from loom_common.contracts.v1 import RunFinished

    reason = None
    waits = Waits(screen.waits)
    async with waits.counting_down():
        async for message in session.follow(run_id):
            if isinstance(message, RunFinished):
                return _End(message.report, message.replay_of)
            screen.show(message)
            waits.heard(message.notice)
            reason = message.reason
    return _End(reason=reason)


def _interrupt_on_ctrl_c(session: RunEngine, run_id: str, screen: progress.Display, flags: str) -> asyncio.Event:
    """Let Ctrl-C and SIGTERM pause the run; the event that is returned tells whether one did."""
    interrupted = asyncio.Event()
    loop = asyncio.get_running_loop()
    pausing: set[asyncio.Task[RunAccepted]] = set()
    entry.on_interrupt(
        f"{run_id} is stopped; what was in flight is done again, nothing is lost. "
        f"Resume with: loom resume {run_id}{flags}"
    )

    def on_signal() -> None:
        if interrupted.is_set():
            entry.end_interrupted()
        interrupted.set()
        # This is a thread, because it may be the event loop that does not come back.
        limit = threading.Timer(STOP_SECONDS, entry.end_interrupted)
        limit.daemon = True
        limit.start()
        screen.note(f"stopping after what is in flight, within {STOP_SECONDS:g} s; Ctrl-C again stops at once")
        pausing.add(loop.create_task(session.pause(run_id)))

    entry.call_on_interrupt(on_signal)
    return interrupted


async def cancel(config: LoomConfig, run_id: str, *, verbose: bool) -> RunAccepted:
    """Cancel a run, and see it end."""
    from loom.cli.output import progress
    from loom.session import open_session

    screen = progress.choose(terminal.stderr(), Format.JSON, verbose=verbose)
    log_on_stderr(config, verbose=verbose)
    entry.on_interrupt(f"interrupted: `loom status {run_id}` tells whether it was cancelled")
    async with open_session(config) as session:
        accepted = await session.cancel(run_id)
        if accepted.status in EXIT_CODES:
            return accepted
        end = await _followed(session, run_id, screen)
    return accepted if end.report is None else accepted.model_copy(update={"status": end.report.status})


async def discard(config: LoomConfig, run_id: str, record_ids: tuple[str, ...], *, verbose: bool) -> None:
    """Discard quarantined records, and see it done. Raises `DependencyUnavailable` where nobody does it."""
    from loom.cli.commands import state
    from loom.project.run_state import no_run
    from loom.session import ANSWER_SECONDS, open_session
    from loom_common.errors import DependencyUnavailable
    from loom_quarantine.queries import RecordFilter

    log_on_stderr(config, verbose=verbose)
    waiting = RecordFilter(run_id=run_id, record_ids=record_ids, unresolved=True)
    async with state.opened(config) as views:
        if await views.row(run_id) is None:
            raise no_run(config, run_id)
        async with open_session(config) as session:
            await session.discard(run_id, record_ids)
            deadline = asyncio.get_running_loop().time() + ANSWER_SECONDS
            while await views.quarantined(waiting, 1):
                if asyncio.get_running_loop().time() > deadline:
                    raise DependencyUnavailable(
                        f"The records were not discarded within {ANSWER_SECONDS:g} s. The request waits in the queue "
                        "loom.quarantine; is the quarantine service running?"
                    )
                await asyncio.sleep(_LOOK_SECONDS)


def log_on_stderr(config: LoomConfig, *, verbose: bool) -> None:
    """Log on what stderr is now: within a live display, lines stand above it."""
    from loom_common.service.logging import configure_logging

    changed: dict[str, Any] = {"format": "console", **({"level": "info"} if verbose else {})}
    configure_logging(config.settings().log.model_copy(update=changed))


def _print(document: Mapping[str, Any], form: Format, flags: str) -> None:
    from loom.cli.output import report

    if form is Format.JSON:
        terminal.print_json(document)
    else:
        report.print_report(document, terminal.stdout(), flags)
