"""Implements `loom plugins`, which shows what can be named in a pipeline here, and which package it comes from."""

from __future__ import annotations

from typing import Annotated

import typer

from loom.cli.options.common import Form, Verbose
from loom.cli.output.formats import Format
from loom.cli.output.stdout import App
from loom_common.plugins.kinds import Kind

app = App(help="What has been added to Loom, by which packages.", no_args_is_help=True)


@app.command("list")
def list_plugins(
    kind: Annotated[Kind | None, typer.Option("--kind", help="Only plugins of this kind.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Import each, and exit with 1 where one cannot be used.")
    ] = False,
    form: Form = Format.TABLE,
    verbose: Verbose = False,  # noqa: ARG001 - read by `main`
) -> None:
    """List what a pipeline may name here: Loom's own, and what installed packages offer by their entry points.

    Without `--check` nothing is imported."""
    from loom import plugins
    from loom.cli.output.tables import Column, print_rows

    found = plugins.list_plugins(kind, check=check)
    rows = [
        {
            "kind": each.kind.value,
            "name": each.name,
            "package": each.package,
            "version": each.version,
            "problem": each.problem,
        }
        for each in found
    ]
    columns = [Column("kind", "kind"), Column("name", "name", keep=True), Column("package", "package", keep=True)]
    columns += [Column("version", "version")]
    if any(each.problem for each in found):
        columns.append(Column("problem", "problem", keep=True))
    print_rows(rows, columns, form, "There is no plugin of this kind.")
    raise typer.Exit(1 if check and any(each.problem for each in found) else 0)
