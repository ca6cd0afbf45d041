"""Asks a person at a terminal about one record after the other."""

from __future__ import annotations

import click
from rich.rule import Rule
from rich.text import Text

from loom.cli.output import terminal
from loom.cli.output.scores import labelled
from loom.labelling.label_session import LabelSession, ToJudge
from loom_common.errors import ConfigurationError
from loom_coordinator.db.outputs.labels import FAIL, PASS, SKIP

_VERDICTS = {"p": PASS, "f": FAIL, "s": SKIP}
_ENDS = ("q", "\x03", "\x04", "")
"""The keys that end it: q, Ctrl-C, Ctrl-D, and the end of the input."""


class Asking:
    """Shows records of a sample and keeps the answers."""

    def __init__(self, session: LabelSession, field: str | None, *, blind: bool) -> None:
        self._session = session
        self._field = field
        self._blind = blind
        self._screen = terminal.stdout()

    async def all(self) -> None:
        """Ask until all records are judged, or the person has had enough."""
        shown = await self._session.next()
        while shown is not None:
            self._check_field(shown)
            await self._show(shown)
            step = await self._answered(shown)
            if step is None:
                return
            shown = step if isinstance(step, ToJudge) else await self._session.next()

    async def _show(self, shown: ToJudge, *, whole: bool = False) -> None:
        progress = await self._session.progress()
        title = f"{progress.judged + progress.skipped + 1} of {progress.records}"
        self._screen.print()
        self._screen.print(Rule(Text(f"{title} {terminal.symbols(self._screen).dot} {shown.record.record_id}")))
        for line in labelled.record(shown, self._session.subject, self._field, blind=self._blind, whole=whole):
            self._screen.print(line)
        self._screen.print(Text(self._question(), style="bold"))
        self._screen.print(Text(_KEYS))

    def _question(self) -> str:
        return "Is the output good enough?" if self._field is None else f"Is `{self._field}` right?"

    async def _answered(self, shown: ToJudge) -> ToJudge | bool | None:
        """Take keys until one of them says what comes next: True for the next record, a record for that one, None for
        the end."""
        comment: str | None = None
        while True:
            key = _key()
            if key in _ENDS:
                return None
            if key in _VERDICTS:
                await self._keep(shown, _VERDICTS[key], comment)
                return True
            if key == "c":
                comment = _line("Comment (empty for none)")
                terminal.say("It is kept with your answer: p pass, f fail, s skip." if comment else "No comment.")
            elif key == "m":
                await self._show(shown, whole=True)
            elif key == "u":
                if (taken := await self._session.undo()) is not None:
                    terminal.say(f"Taken back: {taken.verdict} for {taken.record_id}.")
                    return await self._session.record(taken.record_id)
                terminal.say("There is nothing to take back.")
            else:
                terminal.say(f"The keys are: {_KEYS}")

    async def _keep(self, shown: ToJudge, verdict: str, comment: str | None) -> None:
        expected = None
        if verdict == FAIL and self._field is not None:
            expected = _line(f"What should `{self._field}` be (empty if you do not know)")
        await self._session.say(shown.record.record_id, verdict, comment, expected)
        said = "" if not self._blind else f" {labelled.what_they_said(shown, self._session.subject)}"
        self._screen.print(Text(f"{verdict}.{said}"))

    def _check_field(self, shown: ToJudge) -> None:
        output = shown.contents.output
        if self._field is not None and isinstance(output, dict) and self._field not in output:
            raise ConfigurationError(
                f"The output of {shown.record.record_id} has no field '{self._field}'; it has {', '.join(output)}."
            )


_KEYS = "p pass, f fail, s skip, c comment, u undo, m more, q quit"


def _key() -> str:
    """Return the key that was pressed, as a small letter."""
    try:
        return click.getchar().lower()
    except (KeyboardInterrupt, EOFError):
        return "q"


def _line(question: str) -> str | None:
    """Return a line that the person writes; None for an empty one."""
    try:
        text: str = click.prompt(question, default="", show_default=False, err=True)
    except click.Abort:
        return None
    return text.strip() or None
