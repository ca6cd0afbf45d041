"""Carries out a benchmark that the command line asks for, shows it while it goes, and hands its result on."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import typer

from loom.benchmarks import calibrating
from loom.benchmarks.benchmark import Request, ScoreRequest, measure_outputs, measure_scores
from loom.benchmarks.calibrating import Fit
from loom.benchmarks.cascades.choosing import CascadeRequest, choose
from loom.benchmarks.data.target import target_of
from loom.benchmarks.figures.result import Benchmark
from loom.benchmarks.running.candidates import Candidate, Setting
from loom.benchmarks.shown import exports
from loom.benchmarks.shown.files import put
from loom.cli.commands import follow
from loom.cli.commands.benchmarks import printing
from loom.cli.commands.benchmarks.options import Measuring
from loom.cli.output import progress, terminal
from loom.cli.output.formats import Format
from loom.project.config import LoomConfig
from loom_common.contracts.v1 import RunProgress
from loom_common.service import entry
from loom_common.statistics.cascades import Promise
from loom_common.statistics.thresholds import Goal

R = TypeVar("R")
_INTERRUPTED = "interrupted: what was paid for is in the journal; the same command goes on without paying for it again"
_STOPPED = 3
"""The exit code where labelled records were left out, because the budget was spent."""


def outputs(
    candidates: Sequence[Candidate],
    field: str | None,
    confidence: str | None,
    options: Measuring,
    config: LoomConfig,
    form: Format,
    *,
    evaluators: bool,
) -> int:
    """Measure the outputs of candidates, and return the exit code."""
    request = Request(
        candidates=candidates,
        field=field,
        confidence=confidence,
        setting=Setting(options.concurrency, evaluators),
        **options.request(),
    )
    files = options.exports()
    with _Screen(config, form, verbose=options.verbose) as screen:
        return _told(measure_outputs(request, config, screen), files, form)


def scores(
    candidates: Sequence[Candidate],
    given: str | None,
    evaluators: Sequence[str],
    pass_label: str | None,
    goal: tuple[Goal, float] | None,
    delta: float,
    options: Measuring,
    config: LoomConfig,
    form: Format,
) -> int:
    """Measure the evaluators of candidates, and return the exit code."""
    request = ScoreRequest(
        candidates=candidates,
        outputs=given,
        evaluators=evaluators,
        pass_label=pass_label,
        goal=goal,
        delta=delta,
        setting=Setting(options.concurrency),
        **options.request(),
    )
    files = options.exports()
    with _Screen(config, form, verbose=options.verbose) as screen:
        return _told(measure_scores(request, config, screen), files, form)


def calibration(
    candidates: Sequence[Candidate],
    field: str | None,
    confidence: str | None,
    evaluator: str | None,
    given: str | None,
    fit: Fit,
    file: Path,
    options: Measuring,
    config: LoomConfig,
    form: Format,
) -> int:
    """Fit a calibrator to what a candidate states, or to the scores of its evaluator, and return the exit code."""
    files = options.exports()
    if wrong := [each for each in files if each.suffix != ".html"]:
        raise typer.BadParameter(f"{wrong[0]}: a calibration is exported as .html", param_hint="--export")
    setting = Setting(options.concurrency, evaluators=evaluator is not None, calibrated=False)
    shared = {"candidates": candidates, "setting": setting, **options.request()}
    stated = None
    with _Screen(config, form, verbose=options.verbose) as screen:
        if evaluator is None:
            stated = target_of(candidates[0].pipeline, field, confidence).confidence
            request = Request(field=field, confidence=confidence, **shared)
            found = _carried_out(measure_outputs(request, config, screen))
        else:
            scored = ScoreRequest(outputs=given, evaluators=[evaluator], **shared)
            found = _carried_out(measure_scores(scored, config, screen))
    if found is None:
        return entry.INTERRUPTED
    made = calibrating.calibrated(found, fit, file, stated)
    for path in files:
        put(calibrating.page(found, made), path)
        terminal.say(f"Written: {terminal.place(str(path))}")
    if form is Format.JSON:
        terminal.print_json(made.as_json())
    else:
        printing.show_calibration(found, made)
    return 0


def cascade(
    candidates: Sequence[Candidate],
    field: str | None,
    promise: Promise,
    more: Mapping[str, Any],
    file: Path,
    options: Measuring,
    config: LoomConfig,
    form: Format,
) -> int:
    """Choose the thresholds of a cascade, and return the exit code."""
    if options.exports():
        raise typer.BadParameter("the thresholds of a cascade are written by --output alone", param_hint="--export")
    request = CascadeRequest(
        candidates=candidates,
        field=field,
        promise=promise,
        setting=Setting(options.concurrency),
        **more,
        **options.request(labelled=False),
    )
    with _Screen(config, form, verbose=options.verbose) as screen:
        made = _carried_out(choose(request, config, screen, file))
    if made is None:
        return entry.INTERRUPTED
    if form is Format.JSON:
        terminal.print_json(made.as_json())
    else:
        printing.show_cascade(made)
    return 0


def _told(work: Coroutine[Any, Any, Benchmark], files: Sequence[Path], form: Format) -> int:
    found = _carried_out(work)
    if found is None:
        return entry.INTERRUPTED
    for path in files:
        exports.write(found, path)
        terminal.say(f"Written: {terminal.place(str(path))}")
    if form is Format.JSON:
        terminal.print_json(found.as_json())
    else:
        printing.show(found)
    return _STOPPED if any(each.stopped for each in found.candidates) else 0


def _carried_out(work: Coroutine[Any, Any, R]) -> R | None:
    """Carry out the work, and return what it found; None where it was interrupted, which is then said."""
    entry.on_interrupt(_INTERRUPTED)
    found = follow.wait_for(_until_interrupted(work))
    if found is None:
        terminal.say(_INTERRUPTED)
    entry.on_interrupt("")
    return found


async def _until_interrupted(work: Coroutine[Any, Any, R]) -> R | None:
    """Carry out the work. The first Ctrl-C or SIGTERM cancels the run that is under way, and gives None; the second
    ends the process at once, as it ends `follow.STOP_SECONDS` after the first."""
    task = asyncio.create_task(work)

    def on_signal() -> None:
        if task.cancelling():
            entry.end_interrupted()
        limit = threading.Timer(follow.STOP_SECONDS, entry.end_interrupted)
        limit.daemon = True
        limit.start()
        task.cancel()

    entry.call_on_interrupt(on_signal)
    try:
        return await task
    except asyncio.CancelledError:
        if not task.cancelling():
            raise
        return None


class _Screen:
    """Shows the run of one candidate after the other."""

    def __init__(self, config: LoomConfig, form: Format, *, verbose: bool) -> None:
        self._form = form
        self._verbose = verbose
        self._display: progress.Display | None = None
        follow.log_on_stderr(config, verbose=verbose)

    def __enter__(self) -> _Screen:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def begun(self, candidate: str, run_id: str, number: int, of: int, records: int) -> None:
        self._close()
        self._display = progress.choose(terminal.stderr(), self._form, expected=records, verbose=self._verbose)
        self._display.__enter__()
        self._display.started(run_id, f"{candidate} ({number} of {of})")

    def show(self, progress: RunProgress) -> None:
        if self._display is not None:
            self._display.show(progress)

    def _close(self) -> None:
        if self._display is not None:
            self._display.__exit__(None, None, None)
            self._display = None
