"""Implements `loom ontology`: what the fields of a domain mean, and what those of a source stand for."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from loom.cli.options.common import ConfigPath, Form, Verbose, configuration
from loom.cli.output.formats import Format
from loom.cli.output.stdout import App

app = App(help="Ontologies: what the fields of records mean in a domain.", no_args_is_help=True)


class _Document(StrEnum):
    YAML = "yaml"
    JSON = "json"
    PROMPT = "prompt"


@app.command("list")
def list_all(
    form: Form = Format.TABLE,
    verbose: Verbose = False,  # noqa: ARG001 - read by `main`
) -> None:
    """List the ontologies that a pipeline may name here: Loom's own, those of installed packages (`loom.ontologies`),
    and those in `ontologies/` of this folder and of its project."""
    from loom.cli.output.tables import Column, print_rows
    from loom.offered.ontologies import list_ontologies

    rows = [asdict(each) for each in list_ontologies(_folders())]
    columns = [Column("name", "name", keep=True), Column("version", "version"), Column("content", "content")]
    columns += [Column("concepts", "concepts"), Column("metrics", "metrics"), Column("rules", "rules")]
    columns += [Column("place", "from"), Column("says", "what it is about")]
    for row in rows:
        if form is Format.TABLE:
            row["says"] = row["problem"] or row["description"]
    print_rows(rows, columns, form, "There is no ontology here.")


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name of an ontology.")],
    form: Annotated[
        _Document, typer.Option("--format", help="`yaml`, `json`, or `prompt`: what `{{ ontology }}` is in a prompt.")
    ] = _Document.YAML,
    verbose: Verbose = False,  # noqa: ARG001 - read by `main`
) -> None:
    """Show an ontology with all that it has from those that it extends."""
    from loom.cli.output import terminal
    from loom.cli.output.stdout import stream
    from loom.offered.ontologies import as_shown
    from loom_common.domain.ontology.prompt_text import prompt_text
    from loom_common.ontologies.find import resolved

    found = resolved(name, _folders())
    if form is _Document.PROMPT:
        terminal.stdout().print(prompt_text(found), markup=False, highlight=False, soft_wrap=True)
    elif form is _Document.JSON:
        terminal.print_json(as_shown(found))
    else:
        from ruamel.yaml import YAML

        YAML().dump(as_shown(found), stream())


@app.command("validate")
def validate(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Files of ontologies.")],
    form: Form = Format.TABLE,
    verbose: Verbose = False,  # noqa: ARG001 - read by `main`
) -> None:
    """Check files of ontologies: their keys, what they extend, and whether their formulas can be computed. Exits with
    0, or 2.

    Reports every mistake at once, with its line."""
    from loom.cli.output import terminal
    from loom.offered.ontologies import file_problems
    from loom.project.definition_file import folders_of
    from loom.requests.validation import placed

    found = {file: file_problems(file, _beside(file, folders_of(file.resolve().parent))) for file in files}
    if form is Format.JSON:
        terminal.print_json(
            [
                {"file": str(file), "valid": not problems, "problems": [placed(each) for each in problems]}
                for file, problems in found.items()
            ]
        )
    else:
        for file, problems in found.items():
            for line in [str(each) for each in problems] or [f"{file}: everything is in order"]:
                terminal.stdout().print(line, markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(2 if any(found.values()) else 0)


@app.command("map")
def map_source(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="A source, as `extract.source` names it.")],
    ontology: Annotated[
        str | None, typer.Option("--ontology", metavar="NAME", help="Default: the one that fits best.")
    ] = None,
    query: Annotated[str | None, typer.Option("--query", metavar="SQL", help="SQL, where it is a database.")] = None,
    records: Annotated[int, typer.Option("--records", min=1, metavar="N", help="How many records to look at.")] = 200,
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="MODEL", help="Ask this model about fields whose names do not say it."),
    ] = None,
    budget: Annotated[float, typer.Option("--budget", min=0, metavar="USD", help="What the model may cost.")] = 0.5,
    config: ConfigPath = None,
    form: Form = Format.TABLE,
    verbose: Verbose = False,  # noqa: ARG001 - read by `main`
) -> None:
    """Show which concepts of an ontology the fields of a source stand for, and which metrics and rules follow.

    The names of fields are compared with the indicators of concepts, and their values with their types. With --model, a
    model is asked about those that are not sure."""
    from loom.cli.commands import follow
    from loom.cli.output import terminal
    from loom.cli.output.tables import Column, print_rows
    from loom.mapping.mapped import mapped

    found = follow.wait_for(
        mapped(
            source,
            configuration(config),
            ontology=ontology,
            query=query,
            model=model,
            budget=budget,
            records=records,
        )
    )
    rows = [asdict(each) for each in found.columns]
    if form is not Format.TABLE:
        terminal.print_json({**asdict(found), "columns": rows})
        return
    chosen = ", which fits best of all" if found.chosen else ""
    terminal.say(f"{source} by the ontology {found.ontology} ({found.version}){chosen}:")
    columns = [Column("column", "field", keep=True), Column("concept", "concept", keep=True)]
    columns += [Column("confidence", "confidence"), Column("role", "role"), Column("type", "type")]
    columns += [Column("by", "by"), Column("why", "why")]
    print_rows(rows, columns, form, "It has no fields.")
    for title, names, none in (
        ("Metrics", found.metrics, "none can be computed"),
        ("Rules", found.rules, "none says anything of these fields"),
    ):
        words = f"{title}: {', '.join(names) or none}."
        terminal.stdout().print(words, markup=False, highlight=False, soft_wrap=True)
    if found.cost:
        terminal.say(f"The model cost ${found.cost:.4f}.")


def _folders() -> list[Path]:
    from loom.project.definition_file import folders_of

    return folders_of(Path.cwd())


def _beside(file: Path, folders: list[Path]) -> list[Path]:
    """Return the folders in whose `ontologies` others are found that a file extends."""
    parent = file.resolve().parent
    return [*folders, parent.parent] if parent.name == "ontologies" else folders
