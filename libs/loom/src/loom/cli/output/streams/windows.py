"""Shows the windows of a stream: a line for each that is closed, and on a terminal the one that is open below them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.text import Text

from loom.cli.output import stdout as output_stdout
from loom.cli.output import terminal
from loom.cli.output.formats import Format
from loom.cli.output.progress import LivePicture, picture
from loom.cli.output.rates import RunRates
from loom_common.console.streams import write_json
from loom_common.console.window_notes import window_notes
from loom_common.contracts.v1 import RunAccepted, RunProgress, RunReport
from loom_common.domain.values.plural import counted

QUIET_SECONDS = 10.0
"""A source that gives no record for so long is said to be quiet."""
_LOOK_SECONDS = 1.0


class WindowDisplay:
    """Shows a stream as plain lines on stderr. For a program, the reports of its windows follow one another on stdout,
    each on a line of its own."""

    def __init__(self, console: Console, form: Format) -> None:
        self._console = console
        self._form = form
        self._records = 0
        self._cost = 0.0
        self._windows = 0
        self._heard = time.monotonic()
        self._extracted: dict[str, int] = {}
        self._quiet = False
        self._waiting: set[str] = set()
        """The windows that wait for the next day."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    @property
    def totals(self) -> str:
        """Say what was shown so far: windows that have closed, and not the one that is open."""
        windows, records = counted(self._windows, "closed window"), counted(self._records, "record")
        return f"{windows} with {records}, {terminal.money(self._cost)}"

    def opened(self, stream: str, accepted: RunAccepted) -> None:
        """The stream was opened, or goes on."""
        how = "begins" if accepted.opened else "goes on"
        self.say(f"{accepted.pipeline}: {stream} {how} with window {accepted.window}, {accepted.run_id}")
        self.say_where(accepted)
        if accepted.canary is not None:
            self.say(
                f"{100 * accepted.canary:.4g}% of the records go to the version on trial; `loom status {stream}` "
                "compares the two"
            )

    def say_where(self, accepted: RunAccepted) -> None:
        """Say where the stream goes on, if somebody has named that."""
        if accepted.begins_at is not None:
            self.say(f"it reads from {accepted.begins_at} on")

    def show(self, progress: RunProgress) -> None:
        """Take in the next word on a window."""
        extracted = progress.tally.extracted
        if extracted > self._extracted.get(progress.run_id, 0):
            self._extracted[progress.run_id] = extracted
            self._heard = time.monotonic()
            if self._quiet:
                self.say("records come again")
            self._quiet = False

    def closed(self, report: RunReport) -> None:
        """Show a window that has ended."""
        self._extracted.pop(report.run_id, None)
        self._records += report.records["extracted"]
        self._cost += report.cost["total"]
        self._windows += 1
        if self._form is Format.JSON:
            write_json(report.model_dump(mode="json"), output_stdout.stream(), indent=None)
        else:
            self.say(line(report))
            for words in window_notes(report.window):
                self.say(f"  {words}")
        if report.status != "succeeded" and report.error:
            self.say(f"  {report.status}: {report.error}")

    def waits(self, text: str) -> None:
        """Show what the stream waits for."""
        self.say(text)

    def waits_for_the_day(self, window: str, why: str | None) -> None:
        """Show why a window waits for the next day, or that it does not: None."""
        if why is not None:
            if not self._waiting:
                self.say(why)
            self._waiting.add(window)
            self._heard = time.monotonic()
        elif window in self._waiting:
            self._waiting.discard(window)
            if not self._waiting:
                self.say("the stream goes on")

    def note(self, text: str) -> None:
        """Print what whoever watches should know."""
        self.say(text)

    def say(self, text: str) -> None:
        """Print a text as a line of its own, and read no markup in it."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    @asynccontextmanager
    async def quiet_told(self) -> AsyncIterator[None]:
        """Say within the block when no record has come for a while."""

        async def look() -> None:
            while True:
                await asyncio.sleep(_LOOK_SECONDS)
                if not self._quiet and time.monotonic() - self._heard >= QUIET_SECONDS:
                    self._quiet = True
                    self.say(f"no record has come for {QUIET_SECONDS:g} s; the stream waits for more")

        task = asyncio.create_task(look())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


class LiveWindows(LivePicture, WindowDisplay):
    """Shows the open window below the lines of those that are closed."""

    def __init__(self, console: Console, form: Format) -> None:
        WindowDisplay.__init__(self, console, form)
        self._title = ""
        self._pace = RunRates()
        self._of = ""
        LivePicture.__init__(self, console, times_a_second=4)

    def opened(self, stream: str, accepted: RunAccepted) -> None:
        self._title = f"{accepted.pipeline} {terminal.symbols(self._console).dot} {stream}"
        self.say_where(accepted)

    def show(self, progress: RunProgress) -> None:
        super().show(progress)
        if progress.run_id != self._of:
            self._of, self._pace = progress.run_id, RunRates()
        self._pace.heard(progress)

    def _picture(self) -> RenderableType:
        symbols = terminal.symbols(self._console)
        if self._pace.progress is None:
            return Text(f"{self._title or 'opening'} ...", style="dim")
        shown = picture(self._title, self._pace.progress, self._pace, 0.0, self._note, symbols)
        closed = Text(f"  {self.totals} closed", style="dim")
        return Group(shown, closed)


def choose(console: Console, form: Format, *, verbose: bool = False) -> WindowDisplay:
    """Live on a terminal; lines elsewhere, and beside a log."""
    if console.is_terminal and not verbose:
        return LiveWindows(console, form)
    return WindowDisplay(console, form)


def line(report: RunReport) -> str:
    """Return a window that has ended as one line, of 80 columns where its numbers are small."""
    records = report.records
    number = 0 if report.window is None else report.window.number
    beside = " canary" if report.window is not None and report.window.canary else ""
    kept = records["rejected"] + records["quarantined"] + records["skipped"] + records["cancelled"]
    parts = [
        f"window {number}{beside}",
        report.run_id,
        f"{terminal.duration(report.duration_seconds)}",
        f"{terminal.count(records['extracted'])} in",
        f"{terminal.count(records['loaded'])} loaded",
        *([f"{terminal.count(records['filtered'])} filtered"] if records["filtered"] else []),
        *([f"{terminal.count(kept)} kept back"] if kept else []),
        terminal.money(report.cost["total"]),
    ]
    return "  ".join(parts)
