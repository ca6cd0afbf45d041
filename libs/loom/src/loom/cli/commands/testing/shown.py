"""Carries out `loom test`, and shows what became of the tests."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.text import Text

from loom.cli.commands.testing.forms import ReportForm
from loom.cli.output import stdout, terminal
from loom.testing import trial
from loom.testing.definition import reader
from loom.testing.outcomes import Report, Result, Verdict
from loom.testing.reports import written
from loom.testing.running import none_chosen
from loom.testing.running import suites as running
from loom.testing.running.options import Options
from loom_common.errors import ConfigurationError, InvalidDefinition, Problem
from loom_common.service import entry

if TYPE_CHECKING:
    from loom.project.config import LoomConfig
    from loom.testing.definition.reader import LoadedSuite

_STYLES = {Verdict.PASSED: "green", Verdict.FAILED: "red", Verdict.ERROR: "red"}


async def carried_out(
    targets: Sequence[str], config: LoomConfig, options: Options, form: ReportForm, *, verbose: bool
) -> Report:
    """Run the tests that are meant, print the report, and return it. Raises `ConfigurationError` where files have
    mistakes, or no test is meant."""
    from loom.cli.commands.follow import log_on_stderr

    suites = loaded(targets, config, options)
    if not any(running.chosen(suite, options) for suite in suites):
        names = [case.name for suite in suites for case in suite.suite.tests]
        raise ConfigurationError(none_chosen.words(names, options))
    log_on_stderr(config, verbose=verbose)
    _end_on_interrupt()
    report = await running.run(suites, config, options, _print_line if form is ReportForm.TABLE else None)
    if form is ReportForm.TABLE:
        _print_end(report)
    else:
        stdout.stream().write(written.TEXTS[form.value](report))
        stdout.stream().flush()
    return report


def loaded(targets: Sequence[str], config: LoomConfig, options: Options) -> list[LoadedSuite]:
    """Read the files of tests that are meant. With a sample, a pipeline without any is tried over it. Raises
    `InvalidDefinition` with the mistakes of all files, and `ConfigurationError` where there is none."""
    paths = reader.find(targets, config)
    if not paths and targets and options.sample is not None:
        return [reader.implicit(pipeline, options.sample) for pipeline in reader.pipelines(targets, config)]
    if not paths:
        raise reader.none_found(targets)
    found: list[LoadedSuite] = []
    problems: list[Problem] = []
    for path in paths:
        try:
            found.append(reader.load(path, config))
        except InvalidDefinition as error:
            problems += [each for each in error.problems if each not in problems]
    if problems:
        raise InvalidDefinition(problems)
    return found


async def print_proposals(targets: Sequence[str], config: LoomConfig) -> None:
    """Print the tests that are proposed for a pipeline. Raises `ConfigurationError` where it is not one that is meant,
    and `NotFound` where there is nothing to propose."""
    from loom.testing import proposals

    if len(targets) != 1:
        raise typer.BadParameter("name one pipeline: `loom test NAME --generate`", param_hint="--generate")
    (pipeline,) = reader.pipelines(targets, config)
    found = await proposals.proposals(pipeline, config)
    stdout.stream().write(proposals.written(found, pipeline))
    stdout.stream().flush()


def files_of(targets: Sequence[str], config: LoomConfig) -> list[Path]:
    """Return every file that a change of may change the result of the tests."""
    files: list[Path] = []
    for path in reader.find(targets, config):
        files.append(path)
        try:
            suite = reader.load(path, config)
        except InvalidDefinition:
            files += [each for each in path.resolve().parent.parent.rglob("*") if each.suffix in (".yaml", ".yml")]
            continue
        files += [suite.loaded.path, suite.cassette, suite.baselines]
        files += [suite.loaded.folder / name for name in suite.loaded.files]
        files += sorted(suite.loaded.folder.glob("*.py"))
    return files


def forms_of(files: Sequence[Path]) -> dict[Path, str]:
    """Return the form of each report file. Raises `typer.BadParameter` for an ending that means none."""
    for file in files:
        if file.suffix not in written.BY_ENDING:
            endings = ", ".join(written.BY_ENDING)
            raise typer.BadParameter(f"{file}: its name ends in none of {endings}", param_hint="--report")
    return {file: written.BY_ENDING[file.suffix] for file in files}


def write(report: Report, files: Mapping[Path, str]) -> None:
    """Write the report into files. Raises `ConfigurationError` where one cannot be written."""
    for file, form in files.items():
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(written.TEXTS[form](report), encoding="utf-8")
        except OSError as error:
            raise ConfigurationError(f"{file} cannot be written: {error.strerror}.") from error


def _end_on_interrupt() -> None:
    """End the process on Ctrl-C and SIGTERM, and leave nothing in temporary folders: records lie there."""
    entry.call_on_interrupt(_end)


def _end() -> None:
    for folder in trial.in_use:
        shutil.rmtree(folder, ignore_errors=True)
    entry.on_interrupt("interrupted: the tests have no result; answers that were recorded are kept")
    entry.end_interrupted()


def _print_line(result: Result) -> None:
    console = terminal.stdout()
    marks = terminal.symbols(console)
    mark = marks.good if result.verdict is Verdict.PASSED else marks.bad
    rounds = f"  {result.rounds_passed} of {result.rounds} rounds passed" if result.rounds > 1 else ""
    if result.flakiness is not None:
        low, high = result.flakiness
        rounds += f"; it fails in {low:.0%} to {high:.0%} of rounds (95% interval)"
    style = _STYLES[result.verdict]
    console.print(Text(f"{mark} ", style), Text(f"{result.id}{rounds}"), sep="", soft_wrap=True)
    if result.error:
        console.print(Text(f"    could not run: {result.error}"), soft_wrap=True)
    for failure in result.failures:
        console.print(Text(f"    {failure}"), soft_wrap=True)


def _print_end(report: Report) -> None:
    console = terminal.stdout()
    style = "bold red" if report.exit_code else "bold green"
    console.print(Text(written.headline(report), style), soft_wrap=True)
    console.print(Text(written.spending(report)), soft_wrap=True)
    for file in report.written:
        console.print(Text(f"Written: {file}"), soft_wrap=True)
    if report.from_journal and not report.written:
        terminal.say("Answers of the journal are not there on another machine: `loom test --update` records them.")
