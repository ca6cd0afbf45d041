"""Implements `loom validate`, which reports every mistake at once, and whether what a pipeline needs is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loom.cli.options.common import AllowPath, ConfigPath, Form, Verbose, configuration
from loom.cli.output.formats import Format
from loom_common.domain.values.plural import counted

if TYPE_CHECKING:
    from loom.preflight.check import Check
    from loom.preflight.columns import ColumnRow
    from loom.project.config import LoomConfig
    from loom.project.definition_file import InvalidFile, LoadedPipeline
    from loom_common.contracts.v1 import Preflight
    from loom_common.errors import ConfigurationError, Problem


def validate(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Pipeline files.")],
    connect: Annotated[
        bool,
        typer.Option("--connect", help="Try the models' endpoints and the journal, and show how the columns fit."),
    ] = False,
    allow_path: AllowPath = None,
    config: ConfigPath = None,
    form: Form = Format.TABLE,
    verbose: Verbose = False,  # noqa: ARG001 - read by `main`
) -> None:
    """Check pipeline files and what they need. Exits with 0, or 2.

    Reports every mistake at once; then looks for credentials, source and destination, and prints the destination's
    guarantee: what it makes of a batch that arrives twice, and of a record that a later run loads again."""
    from loom.cli.commands import follow
    from loom.cli.output import terminal

    settings = configuration(config).allowing(allow_path or ())
    results = [follow.wait_for(_result(file, settings, connect=connect)) for file in files]
    if form is Format.JSON:
        terminal.print_json(results)
    else:
        for result in results:
            _print(result)
    raise typer.Exit(0 if all(result["valid"] for result in results) else 2)


async def refuse_unready(
    loaded: LoadedPipeline, config: LoomConfig, params: Mapping[str, Any], *, sample: bool = False, wait: bool = False
) -> tuple[Preflight, int | None]:
    """The same checks before a run; gives what was found, and how many records there are, where that is known. With
    `wait`, what is only away may come back while the run waits for it.

    Raises `ConfigurationError` with what is not ready."""
    from loom.preflight import checks, columns, reachability
    from loom_common.contracts.v1 import Preflight, PreflightCheck, PreflightColumn
    from loom_common.errors import ConfigurationError

    looked = await checks.check(loaded, config, dict(params), sample=sample)
    looked += await reachability.journal(config)
    rows = columns.rows_of(loaded, looked)
    _say_differences(rows)
    standing = [check for check in looked if not check.ok and not (wait and check.away)]
    if failed := [words for check in standing for words in check.words]:
        raise ConfigurationError("\n".join(failed))
    found = Preflight(
        checks=tuple(
            PreflightCheck(what=check.what, ok=check.ok, detail=check.detail, doubtful=check.doubtful)
            for check in looked
        ),
        columns=tuple(PreflightColumn(**asdict(row)) for row in rows),
    )
    return found, next((check.records for check in looked if check.what == "source"), None)


async def every_mistake(error: InvalidFile, config: LoomConfig) -> ConfigurationError:
    """Return the mistakes of a file, and of its source and destination as far as they can be read."""
    from loom.preflight import checks
    from loom_common.errors import ConfigurationError

    looked = await checks.further(error, config)
    return ConfigurationError("\n".join([str(error), *(words for check in looked for words in check.words)]))


def _say_differences(rows: Sequence[ColumnRow]) -> None:
    """Say on stderr what a run does about the columns that its destination lacks, or does not take as they are."""
    from loom.cli.output import terminal
    from loom.preflight import columns

    for row in columns.differing(rows):
        there = f" ({row.written} into {row.there})" if row.written and row.there else ""
        terminal.say(f"Column {row.column}{there}: {row.done}.")


def print_dry_run(found: LoadedPipeline | str, form: Format, below: Sequence[str] = ()) -> None:
    """Say what would run, and that everything was found in order. A registered pipeline is known by its name alone.
    `below` are the pipelines that would run after it."""
    from loom.cli.output import terminal

    if form is Format.TABLE:
        what = f"The registered pipeline {found}" if isinstance(found, str) else summary(found)
        terminal.say(f"{what}. Everything is in order; nothing was run (--dry-run).")
        if below:
            terminal.say(f"After it would run, in this order: {', '.join(below)}.")
        return
    name, version = (found, None) if isinstance(found, str) else (found.pipeline.name, found.pipeline.version)
    then = {"downstream": list(below)} if below else {}
    terminal.print_json({"pipeline": name, "version": version, "valid": True, "ran": False, **then})


def summary(loaded: LoadedPipeline) -> str:
    """Describe a pipeline in one line: what transforms, how many evaluators judge, by which gate."""
    pipeline = loaded.pipeline
    transform, evaluate = pipeline.transform, pipeline.evaluate
    what = transform.made_by
    judged = "no evaluators"
    if evaluate:
        judged = f"{counted(len(evaluate.evaluators), 'evaluator')}, {evaluate.quality_gate.type}"
    return f"{pipeline.name} {pipeline.version}: {transform.type}{f' {what}' if what else ''}, {judged}"


async def _result(file: Path, config: LoomConfig, *, connect: bool) -> dict[str, Any]:
    from loom.preflight import checks
    from loom.project import definition_file, dependencies
    from loom_common.errors import InvalidDefinition

    loaded: LoadedPipeline | None = None
    problems: list[Problem] = []
    looked: list[Check] = []
    try:
        loaded = definition_file.load(file, config.applied_to, config.allowed)
        problems += dependencies.problems(loaded.document, loaded.definition, config)
        looked = await checks.check(loaded, config)
        if connect:
            from loom.preflight import reachability

            looked += [*await reachability.models(loaded.pipeline, config), *await reachability.journal(config)]
    except definition_file.InvalidFile as error:
        looked = await checks.further(error, config)
        problems += [*error.problems, *dependencies.problems(error.document, error.definition, config)]
    except InvalidDefinition as error:
        problems += error.problems
    problems += [problem for check in looked for problem in check.problems]
    result: dict[str, Any] = {"file": str(file)}
    if loaded is not None and connect:
        from loom.preflight import columns

        result["columns"] = [asdict(row) for row in columns.rows_of(loaded, looked)]
    if loaded is not None:
        named = {"pipeline": loaded.pipeline.name, "version": loaded.pipeline.version, "summary": summary(loaded)}
        result |= named
    return result | {
        "valid": not problems and all(check.ok for check in looked),
        "problems": [_plain(one) for one in definition_file.in_order(problems, file)],
        "checks": [_checked(check) for check in looked],
    }


def _plain(problem: Problem) -> dict[str, Any]:
    return {
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "key": problem.key,
        "found": problem.found,
        "expected": problem.expected,
        "suggestion": problem.suggestion,
        "message": str(problem),
    }


def _checked(check: Check) -> dict[str, Any]:
    return {"check": check.what, "ok": check.ok, "doubtful": check.doubtful, "detail": check.detail}


def _print(result: Mapping[str, Any]) -> None:
    from rich.table import Table
    from rich.text import Text

    from loom.cli.output import terminal

    console = terminal.stdout()
    marks = terminal.symbols(console)
    console.print(Text(result.get("summary") or result["file"], style="bold"))
    grid = Table.grid(padding=(0, 2, 0, 0))
    if "pipeline" in result:
        grid.add_row(f"  {marks.good}", "definition", Text(result["file"]))
    for check in result["checks"]:
        style = "yellow" if check["doubtful"] else "green" if check["ok"] else "red"
        mark = marks.doubtful if check["doubtful"] else marks.good if check["ok"] else marks.bad
        grid.add_row(Text(f"  {mark}", style), check["check"], Text(check["detail"]))
    console.print(grid)
    if columns := result.get("columns"):
        _print_columns(columns)
    for problem in result["problems"]:
        console.print(Text(f"  {marks.bad}", "red"), Text(problem["message"]), soft_wrap=True)


def _print_columns(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print what becomes of each column, those that do not fit in another colour."""
    from rich.table import Table
    from rich.text import Text

    from loom.cli.output import terminal

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("  column", "from", "in the prompt", "written as", "in the destination", "what is done"):
        table.add_column(title)
    for row in rows:
        cells = (row["origin"], "yes" if row["in_prompt"] else None, row["written"], row["there"])
        style = "" if row["fits"] else "yellow"
        table.add_row(f"  {row['column']}", *(cell or "-" for cell in cells), Text(row["done"], style))
    terminal.stdout().print(table)
