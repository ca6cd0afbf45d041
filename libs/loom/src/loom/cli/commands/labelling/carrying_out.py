"""Carries out what `loom label` is asked for."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from rich.text import Text

from loom.cli.commands import follow
from loom.cli.commands.labelling.asking import Asking
from loom.cli.output import terminal
from loom.cli.output.formats import Format
from loom.cli.output.scores import labelled
from loom.labelling import files, label_session
from loom.labelling import report as reporting
from loom.labelling.report import LabelReport, Wanted
from loom.project.config import LoomConfig
from loom_common.errors import ConfigurationError
from loom_coordinator.db.outputs import labels
from loom_coordinator.db.outputs.labels import LabelSample


@dataclass(frozen=True, slots=True)
class Asked:
    """Says which records somebody wants to judge, and how they are shown."""

    run_id: str
    count: int | None
    evaluator: str | None
    field: str | None
    person: str
    blind: bool


def judge(config: LoomConfig, asked: Asked, form: Format, flags: str, *, verbose: bool) -> None:
    """Draw the sample, and ask about its records, or list them as JSON. Raises `ConfigurationError` where nobody can be
    asked."""
    if form is not Format.JSON and not at_a_terminal():
        raise ConfigurationError(
            "This is no terminal, so nobody can be asked. Take labels from a file with --import FILE, list the sample "
            "with --format json, or judge the records in the console of `loom serve`."
        )
    follow.log_on_stderr(config, verbose=verbose)
    sample = follow.wait_for(label_session.draw(config, asked.run_id, asked.evaluator, asked.person, asked.count))
    follow.wait_for(_judge(config, asked, sample, form, flags))


def at_a_terminal() -> bool:
    """Tell whether there is somebody to ask."""
    return sys.stdin.isatty() and sys.stdout.isatty()


async def _judge(config: LoomConfig, asked: Asked, sample: LabelSample, form: Format, flags: str) -> None:
    async with label_session.opened_session(config, asked.run_id, asked.evaluator, asked.person, "terminal") as opened:
        if form is Format.JSON:
            async with opened.engine.connect() as connection:
                drawn = await labels.sampled(connection, asked.run_id, sample.subject)
                said = await labels.of_run(connection, asked.run_id, opened.person)
            terminal.print_json(
                {
                    **(await opened.progress()).as_json(),
                    "sampled": [each.as_json() for each in drawn],
                    "labels": [each.as_json() for each in said],
                }
            )
            return
        for line in labelled.how_drawn(sample, opened.subject.words):
            terminal.stdout().print(Text(line))
        await Asking(opened, asked.field, blind=asked.blind).all()
        for line in labelled.left_off(await opened.progress(), flags):
            terminal.say(line)


def take_in(config: LoomConfig, run_id: str, source: str, person: str, form: Format, *, verbose: bool) -> None:
    """Take labels from a file or an address, and say how many."""
    follow.log_on_stderr(config, verbose=verbose)
    made = follow.wait_for(files.read(config, run_id, source, person))
    if form is Format.JSON:
        terminal.print_json(made.as_json())
    else:
        for line in labelled.imported(made):
            terminal.say(line)


def write(
    config: LoomConfig, run_id: str, file: Path, person: str | None, field: str | None, form: Format, *, verbose: bool
) -> None:
    """Write the labels to a file, and say how many."""
    follow.log_on_stderr(config, verbose=verbose)
    made = follow.wait_for(files.write(config, run_id, file, person=person, field=field))
    if form is Format.JSON:
        terminal.print_json(made.as_json())
    else:
        for line in labelled.written(made):
            terminal.say(line)


def report(
    config: LoomConfig,
    run_id: str,
    evaluator: str | None,
    wanted: Wanted,
    person: str | None,
    form: Format,
    flags: str,
    *,
    verbose: bool,
) -> None:
    """Print how far people and evaluators agree."""
    follow.log_on_stderr(config, verbose=verbose)
    found = follow.wait_for(_report(config, run_id, evaluator, wanted, person))
    if form is Format.JSON:
        terminal.print_json(found.as_json())
    else:
        labelled.print_report(found, flags)


async def _report(
    config: LoomConfig, run_id: str, evaluator: str | None, wanted: Wanted, person: str | None
) -> LabelReport:
    async with label_session.opened_session(config, run_id, evaluator, person or "anybody", "terminal") as opened:
        return await reporting.report(opened.engine, opened.run, evaluator, wanted, person)
