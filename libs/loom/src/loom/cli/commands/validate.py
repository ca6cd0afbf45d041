"""Implements `loom validate`, which reports every mistake at once, and whether what a pipeline needs is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loom.cli.options.common import AllowPath, ConfigPath, TargetName, Verbose, configuration
from loom.cli.output.formats import Format


class ValidationForm(StrEnum):
    """Lists the values of `--format`."""

    TABLE = "table"
    JSON = "json"
    GITHUB = "github"


if TYPE_CHECKING:
    from loom.project.config import LoomConfig
    from loom.project.definition_file import LoadedPipeline
    from loom.requests.validation import Validation


def validate(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Pipeline files.")],
    connect: Annotated[
        bool,
        typer.Option("--connect", help="Try the models' endpoints and the journal, and show how the columns fit."),
    ] = False,
    offline: Annotated[
        bool,
        typer.Option(
            "--offline",
            help="Check what the files say and name beside them, and look for no credential, source or destination.",
        ),
    ] = False,
    allow_path: AllowPath = None,
    config: ConfigPath = None,
    target: TargetName = None,
    form: Annotated[
        ValidationForm,
        typer.Option("--format", help="`json` for programs, `github` for annotations at the lines of mistakes."),
    ] = ValidationForm.TABLE,
    verbose: Verbose = False,  # noqa: ARG001 - read by `main`
) -> None:
    """Check pipeline files and what they need. Exits with 0, or 2.

    Reports every mistake at once; then looks for credentials, source and destination, and prints the destination's
    guarantee: what it makes of a batch that arrives twice, and of a record that a later run loads again. Where versions
    of schemas are stored, shows how records differ from them, and what a run would do about it."""
    from loom.cli.commands import follow
    from loom.cli.output import terminal

    if connect and offline:
        raise typer.BadParameter("`--connect` tries what `--offline` leaves alone. Give one of them.")
    allowed = allow_path or ()
    results = [
        follow.wait_for(
            _validated(file, configuration(config, file, target).allowing(allowed), connect=connect, offline=offline)
        ).as_json()
        for file in files
    ]
    if form is ValidationForm.JSON:
        terminal.print_json(results)
    elif form is ValidationForm.GITHUB:
        _print_annotations(results)
    else:
        for result in results:
            _print(result)
    raise typer.Exit(0 if all(result["valid"] for result in results) else 2)


def print_dry_run(found: LoadedPipeline | str, form: Format, below: Sequence[str] = ()) -> None:
    """Say what would run, and that everything was found in order. A registered pipeline is known by its name alone.
    `below` are the pipelines that would run after it."""
    from loom.cli.output import terminal
    from loom.requests.validation import summary

    if form is Format.TABLE:
        what = f"The registered pipeline {found}" if isinstance(found, str) else summary(found)
        terminal.say(f"{what}. Everything is in order; nothing was run (--dry-run).")
        if below:
            terminal.say(f"After it would run, in this order: {', '.join(below)}.")
        return
    name, version = (found, None) if isinstance(found, str) else (found.pipeline.name, found.pipeline.version)
    then = {"downstream": list(below)} if below else {}
    terminal.print_json({"pipeline": name, "version": version, "valid": True, "ran": False, **then})


async def _validated(file: Path, config: LoomConfig, *, connect: bool, offline: bool) -> Validation:
    from loom.project.definition_file import load
    from loom.requests.validation import validate as validated

    return await validated(
        partial(load, file, config.applied_to, config.allowed), file, config, connect=connect, offline=offline
    )


def _print_annotations(results: Sequence[Mapping[str, Any]]) -> None:
    """Print an annotation for each mistake, and for each check that fails, and a line for each file without any."""
    from loom.cli.output import terminal
    from loom_common.console.annotations import annotation

    lines = []
    for result in results:
        found = [
            annotation(
                each["message"].removeprefix(f"{each['file']}:{each['line']}:{each['column']}: "),
                file=each["file"],
                line=each["line"],
                column=each["column"],
            )
            for each in result["problems"]
        ]
        failed = [each for each in result["checks"] if not each["ok"]]
        if not result["problems"]:
            found += [annotation(f"{each['check']}: {each['detail']}", file=result["file"]) for each in failed]
        lines += found or [f"{result['file']}: everything is in order"]
    for line in lines:
        terminal.stdout().print(line, markup=False, highlight=False, soft_wrap=True)


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
    if grid.row_count:
        console.print(terminal.Trimmed(grid))
    if columns := result.get("columns"):
        _print_columns(columns)
    if drift := result["drift"]:
        _print_drift(drift)
    for problem in result["problems"]:
        console.print(Text(f"  {marks.bad}", "red"), Text(problem["message"]), soft_wrap=True)


def _print_drift(drift: Sequence[Mapping[str, Any]]) -> None:
    """Print how columns differ from the stored versions of their schemas, those that stop records in another colour."""
    from rich.table import Table
    from rich.text import Text

    from loom.cli.output import terminal

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("  schema of", "version", "column", "change", "stored", "now", "what is done"):
        table.add_column(title)
    for stage in drift:
        for each in stage["changes"]:
            change = f"{each['change']} (a guess)" if each["now_called"] else each["change"]
            now = ": ".join(part for part in (each["now_called"], each["after"]) if part)
            style = "" if each["done"].startswith("loaded") else "yellow"
            cells = (str(stage["version"]), each["column"], change, each["before"] or "-", now or "-")
            table.add_row(f"  {stage['stage']}", *map(Text, cells), Text(each["done"], style))
    terminal.stdout().print(terminal.Trimmed(table))


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
    terminal.stdout().print(terminal.Trimmed(table))
