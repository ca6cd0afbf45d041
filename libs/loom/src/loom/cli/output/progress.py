"""Shows a run on stderr while it goes: a live picture on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import datetime as dt
import time
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from loom.cli.output import terminal
from loom.cli.output.formats import Format
from loom.cli.output.rates import RunRates
from loom_common.console.streams import Harmless, Symbols
from loom_common.contracts.v1 import RunProgress
from loom_common.domain.run.waiting_text import counted_down
from loom_common.flow import Stage

SECONDS_BETWEEN_LINES = 5.0
"""Says where there is no terminal: often enough to see that it lives, seldom enough for a log."""


class Display(Protocol):
    """Shows a run while it goes."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def started(self, run_id: str, pipeline: str) -> None:
        """The run was accepted."""
        ...

    def show(self, progress: RunProgress) -> None:
        """Show the next progress of the run."""
        ...

    def waits(self, text: str) -> None:
        """Show what the run waits for. Said again every few seconds, counting down."""
        ...

    def note(self, text: str) -> None:
        """Something the person watching should know."""
        ...


def choose(console: Console, form: Format, *, expected: int | None = None, verbose: bool = False) -> Display:
    """Live on a terminal; lines elsewhere and beside a log; for a program without a terminal, nothing.

    `expected` is how many records there will be, where that is known before."""
    pace = RunRates(expected)
    if console.is_terminal and not verbose:
        return LiveDisplay(console, pace)
    return Silent() if form is Format.JSON else Lines(console, pace)


class Silent:
    """Shows no progress: for output that a program reads."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def started(self, run_id: str, pipeline: str) -> None:
        return None

    def show(self, progress: RunProgress) -> None:
        return None

    def waits(self, text: str) -> None:
        self.note(text)

    def note(self, text: str) -> None:
        terminal.say(text)


class Lines(Silent):
    """Shows a run as plain lines."""

    def __init__(self, console: Console, pace: RunRates) -> None:
        self._console = console
        self._pace = pace
        self._next = 0.0

    def started(self, run_id: str, pipeline: str) -> None:
        self.note(f"{pipeline}: {run_id} started")

    def show(self, progress: RunProgress) -> None:
        self._pace.heard(progress)
        if progress.elapsed >= self._next:
            self._next = progress.elapsed + SECONDS_BETWEEN_LINES
            self.note(line(progress, self._pace))


class LivePicture(ABC):
    """Draws a picture again and again on a terminal, from the beginning of the block to its end."""

    def __init__(self, console: Console, times_a_second: int) -> None:
        """The first picture is drawn at once, so what it shows has to be there before."""
        self._note: str | None = None
        self._live = Live(
            console=console,
            get_renderable=lambda: Harmless(self._picture()),
            refresh_per_second=times_a_second,
            transient=True,
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def waits(self, text: str) -> None:
        """Say nothing: what is waited for stands in the picture."""
        return

    def note(self, text: str) -> None:
        """Keep for the picture what the person watching should know."""
        self._note = text

    @abstractmethod
    def _picture(self) -> RenderableType: ...


class LiveDisplay(LivePicture, Silent):
    """Shows a run as one line for each stage that moves, with cost and notices below."""

    def __init__(self, console: Console, pace: RunRates) -> None:
        self._console = console
        self._pace = pace
        self._heard_at = 0.0
        self._title = ""
        super().__init__(console, times_a_second=8)

    def started(self, run_id: str, pipeline: str) -> None:
        dot = terminal.symbols(self._console).dot
        self._title = f"{pipeline} {dot} {run_id}"

    def show(self, progress: RunProgress) -> None:
        self._pace.heard(progress)
        self._heard_at = time.monotonic()

    def _picture(self) -> RenderableType:
        if self._pace.progress is None:
            return Text(f"{self._title or 'starting'} ...", style="dim")
        since = time.monotonic() - self._heard_at
        return picture(self._title, self._pace.progress, self._pace, since, self._note, terminal.symbols(self._console))


def picture(
    title: str, progress: RunProgress, pace: RunRates, since: float, note: str | None, symbols: Symbols
) -> RenderableType:
    """Return what the live display shows `since` seconds after `progress`."""
    elapsed = progress.elapsed + since
    head = Table.grid(expand=True, padding=(0, 1))
    head.add_column(ratio=1, no_wrap=True)
    head.add_column(justify="right", no_wrap=True)
    head.add_row(Text(title, style="bold"), f"{progress.status} {symbols.dot} {terminal.duration(elapsed)}")
    stages = Table.grid(padding=(0, 2, 0, 0))
    stages.add_column(width=11)
    stages.add_column(width=26)
    for _ in range(3):
        stages.add_column(justify="right", min_width=10, no_wrap=True)
    for stage in Stage:
        stages.add_row(*_stage_cells(stage, pace))
    rows: list[RenderableType] = [head, stages, Text("  " + _money_and_kept(progress, f" {symbols.dot} "))]
    notice = counted_down(progress.notice or "", dt.datetime.now(dt.UTC))
    rows += [Padding(Text(text, style="yellow"), (0, 0, 0, 2)) for text in (notice, note) if text]
    return Group(*rows)


def line(progress: RunProgress, pace: RunRates) -> str:
    """Return the run at one moment, as one line of plain text."""
    goal = pace.goal(Stage.EXTRACT)
    furthest = next((stage for stage in (Stage.EVALUATE, Stage.TRANSFORM) if pace.done(stage)), Stage.EXTRACT)
    rate = pace.rate(furthest)
    stages = "  ".join(f"{stage} {terminal.count(pace.done(stage))}" for stage in Stage)
    total = f" of {terminal.count(goal)}" if goal is not None else ""
    speed = f"  {terminal.count(rate)}/s" if rate is not None else ""
    return f"{terminal.duration(progress.elapsed):>8}  {stages}{total}{speed}  {_money_and_kept(progress, ', ')}"


def _stage_cells(stage: Stage, pace: RunRates) -> list[RenderableType]:
    done, goal, rate, remaining = pace.done(stage), pace.goal(stage), pace.rate(stage), pace.remaining(stage)
    return [
        Text(f"  {stage}"),
        ProgressBar(total=goal or 1, completed=done if goal else 0, width=26, pulse=goal is None),
        Text(f"{terminal.count(done)} / {terminal.count(goal)}" if goal is not None else terminal.count(done)),
        Text(f"{terminal.count(rate)}/s" if rate is not None else ""),
        Text(f"ETA {terminal.duration(remaining)}" if remaining is not None else "", style="dim"),
    ]


def _money_and_kept(progress: RunProgress, between: str) -> str:
    tally = progress.tally
    parts = [f"cost {terminal.money(tally.cost_transform + tally.cost_evaluate)}"]
    if tally.calls_made or tally.calls_from_cache:
        parts.append(f"calls {terminal.count(tally.calls_made)} (+ {terminal.count(tally.calls_from_cache)} reused)")
    kept = {"rejected": tally.rejected, "quarantined": tally.quarantined, "skipped": tally.skipped}
    parts += [f"{name} {terminal.count(number)}" for name, number in kept.items() if number]
    return between.join(parts)
