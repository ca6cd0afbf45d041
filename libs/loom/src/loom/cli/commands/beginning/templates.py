"""Implements `loom templates`, which shows what `loom init` can write."""

from __future__ import annotations

from typing import Annotated

import typer

from loom.cli.options.common import Form, Verbose
from loom.cli.output.formats import Format
from loom.cli.output.stdout import App

app = App(help="Templates of pipelines: what `loom init --template` can write.", no_args_is_help=True)


@app.command("list")
def list_templates(
    form: Form = Format.TABLE,
    verbose: Verbose = False,  # noqa: ARG001 - read by `main`
) -> None:
    """List the templates: three with a transform, and one for each pair of a source and a destination.

    The table names the sources and destinations once; with `--format json` every pair is in the list."""
    from loom.cli.output import terminal
    from loom.cli.output.tables import Column, print_rows
    from loom.templates.ends import ENDS
    from loom.templates.named import WRITTEN, templates
    from loom_common.console.numbers import yes_or_no

    if form is Format.JSON:
        terminal.print_json([each.as_json() for each in templates()])
        return
    named = [each for each in templates() if each.name in WRITTEN]
    description = Column("description", "description", keep=True)
    print_rows(named, [Column("name", "name", keep=True), description], form, "There is no template.")
    terminal.stdout().print("\nSOURCE_to_DESTINATION, such as csv_to_postgres, moves records between these:\n")
    ends = [
        {"name": each.name, "source": each.source is not None, "to": each.destination is not None, "what": each.what}
        for each in ENDS.values()
    ]
    columns = [Column("name", "name", keep=True), Column("source", "source", yes_or_no)]
    columns += [Column("to", "destination", yes_or_no), Column("what", "what it is", keep=True)]
    print_rows(ends, columns, form, "")


@app.command("info")
def info(
    name: Annotated[str, typer.Argument(metavar="TEMPLATE", help="The template's name, such as `csv_to_postgres`.")],
    form: Form = Format.TABLE,
    verbose: Verbose = False,  # noqa: ARG001 - read by `main`
) -> None:
    """Show a template: what it is for, what it needs, and its pipeline file."""
    from loom.cli.output import terminal
    from loom.templates import NAME
    from loom.templates.named import template_named

    found = template_named(name)
    text = found.files(NAME)["pipeline.yaml"]
    if form is Format.JSON:
        terminal.print_json({**found.as_json(), "pipeline": text})
        return
    needs = "".join(f"\n  {each}" for each in found.needs)
    about = f"{found.name}: {found.description}." + (f"\nIt needs:{needs}" if needs else "")
    terminal.stdout().print(f"{about}\n\n{text}", markup=False, highlight=False, soft_wrap=True, end="")
