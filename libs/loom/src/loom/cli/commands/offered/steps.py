"""Implements `loom steps`, which shows the types of steps that a pipeline may take here."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from loom.cli.options.common import Form, Verbose
from loom.cli.output.formats import Format
from loom.cli.output.stdout import App

app = App(help="The types of steps that a pipeline may take, and what each says of itself.", no_args_is_help=True)


@app.command("list")
def list_all(
    registered: Annotated[
        bool, typer.Option("--registered", help="Only those that packages offer, without Loom's own.")
    ] = False,
    form: Form = Format.TABLE,
    verbose: Verbose = False,  # noqa: ARG001 - read by `main`
) -> None:
    """List the steps that a pipeline may take by name: Loom's own, and those of packages, by the entry point group
    `loom.steps`. Those of Loom's own packages that are not installed say so."""
    from loom.cli.output.tables import Column, print_rows
    from loom.offered.steps import list_steps

    rows = [_row(each) for each in list_steps() if not (registered and each.is_own)]
    columns = [Column("name", "name", keep=True), Column("scope", "scope"), Column("phase", "phase")]
    columns += [Column("criticality", "criticality"), Column("version", "version"), Column("package", "package")]
    columns += [Column("says", "what it does")]
    for row in rows:
        row["says"] = row["problem"] or row["description"]
    if form is not Format.TABLE:
        for row in rows:
            del row["says"]
    print_rows(rows, columns, form, "No package offers a step here.")


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name of a step, or `module:name`.")],
    form: Form = Format.TABLE,
    verbose: Verbose = False,  # noqa: ARG001 - read by `main`
) -> None:
    """Show what a step says of itself: what it reads and makes, when it runs, what it depends on, and its keys.

    Exits with 2 where it cannot be used."""
    from loom.cli.output import terminal
    from loom.offered.steps import step_shown

    found = step_shown(name)
    if form is Format.TABLE:
        terminal.stdout().print(_words(_row(found)), markup=False, highlight=False, soft_wrap=True)
    else:
        terminal.print_json(_row(found))
    raise typer.Exit(2 if found.problem else 0)


def _row(step: Any) -> dict[str, Any]:
    return {**asdict(step), "own": step.is_own}


def _words(row: dict[str, Any]) -> str:
    lines = [f"{row['name']}: {row['description'] or row['problem']}", ""]
    made = row["outputs"]
    shown = {
        "package": row["package"],
        "version": row["version"],
        "scope": row["scope"],
        "phase": row["phase"],
        "criticality": row["criticality"],
        "depends on": ", ".join(row["dependencies"]),
        "reads": ", ".join(row["inputs"]),
        "makes": None if made is None else ", ".join(f"{field}: {kind}" for field, kind in made.items()),
        "problem": row["problem"],
    }
    lines += [f"  {key:<12} {value}" for key, value in shown.items() if value]
    if row["keys"]:
        lines += ["", "  keys:"]
        for key in row["keys"]:
            usual = "needed" if key["needed"] else f"default {key['default']!r}"
            lines.append(f"    {key['name']} ({usual}): {key['meaning']}".rstrip(": "))
    return "\n".join(lines)
