"""Implements `loom plugins` and `loom connectors`, which show what can be named in a pipeline here, and where it comes
from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loom.cli.options.common import Form, Verbose
from loom.cli.output.formats import Format
from loom.cli.output.stdout import App
from loom_common.plugins.kinds import Kind

if TYPE_CHECKING:
    from loom.connector_list import Option

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


def connectors(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="Show the options of one: a scheme, or the ending of a name."),
    ] = None,
    form: Form = Format.TABLE,
    verbose: Verbose = False,  # noqa: ARG001 - read by `main`
) -> None:
    """List storages, formats, databases and brokers: what each is for, the extra that it needs, and what it guarantees.

    Every format lies in every storage. With `--format json` all options are in the list."""
    import difflib

    from loom.cli.output.tables import Column, print_rows
    from loom.connector_list import connectors as listed
    from loom_common.console.numbers import yes_or_no
    from loom_common.errors import ConfigurationError

    found = listed()
    if name is None:
        rows = [
            {
                "kind": each.family.value,
                "names": ", ".join(each.names) if form is Format.TABLE else list(each.names),
                "use": ", ".join(
                    word for word, does in (("source", each.is_source), ("destination", each.is_destination)) if does
                ),
                "extra": each.extra,
                "installed": each.is_installed,
                "guarantee": each.guarantee,
                "source_options": _as_json(each.source_options),
                "destination_options": _as_json(each.destination_options),
            }
            for each in found
        ]
        columns = [Column("kind", "kind"), Column("names", "names", keep=True), Column("use", "use", _short)]
        columns += [Column("extra", "extra"), Column("installed", "ready", yes_or_no)]
        columns += [Column("guarantee", "guarantee", _before_colon)]
        print_rows(rows, columns, form, "There are no connectors.")
        return
    one = next((each for each in found if name.lower() in each.names), None)
    if one is None:
        known = sorted(each for one in found for each in one.names if each.isalnum())
        near = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise ConfigurationError(f"There is no connector '{name}'.{hint} Known: {', '.join(known)}.")
    options = [
        {"section": section, "key": option.key, "default": option.default, "meaning": option.meaning}
        for section, given in (("extract", one.source_options), ("load", one.destination_options))
        for option in given or ()
    ]
    columns = [Column("section", "section"), Column("key", "key", keep=True), Column("default", "default")]
    columns += [Column("meaning", "meaning")]
    lacking = "" if one.is_installed else f" Install its extra to see its options: {one.extra}."
    print_rows(options, columns, form, f"'{name}' has no options of its own.{lacking}")


def _short(use: str) -> str:
    return use.replace("source", "read").replace("destination", "write")


def _before_colon(guarantee: str | None) -> str:
    """Return how often a row is loaded. What brings that about is in the JSON document and in the docs."""
    return (guarantee or "-").partition(":")[0].partition(",")[0]


def _as_json(options: Sequence[Option] | None) -> list[dict[str, Any]] | None:
    return None if options is None else [asdict(each) for each in options]
