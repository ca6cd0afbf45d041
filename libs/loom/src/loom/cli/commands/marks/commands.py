"""Implements the commands of `loom state`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from loom.cli.options.common import Common, Form
from loom.cli.options.groups import grouped
from loom.cli.output.formats import Format
from loom.cli.output.stdout import App

app = App(help="Up to where incremental pipelines have read their sources.", no_args_is_help=True)


@app.command("show")
@grouped
def show(
    pipeline: Annotated[
        str | None, typer.Argument(metavar="[PIPELINE]", help="The pipeline's name. Default: all.")
    ] = None,
    form: Form = Format.TABLE,
    *,
    common: Common,
) -> None:
    """Show the newest value that was read of each incremental source."""
    from loom.cli.commands import follow, state
    from loom.cli.output.tables import Column, print_rows

    settings = common.configuration()
    name = None if pipeline is None else settings.state_name(pipeline)
    found = follow.wait_for(state.ask(settings, lambda views: views.marks(name)))
    names = ("pipeline", "source", "column", "newest", "updated_at", "updated_by")
    columns = [Column(name, name.replace("_", " "), keep=True) for name in names]
    print_rows([each.as_json() for each in found], columns, form, "No incremental source has been read here.")


@app.command("set")
@grouped
def set_mark(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The pipeline file.")],
    value: Annotated[str, typer.Argument(metavar="VALUE", help="A number, or a date or time in ISO 8601.")],
    *,
    common: Common,
) -> None:
    """Set up to where a pipeline has read its source: the next run takes what is not below VALUE."""
    from loom.cli.commands import follow, state
    from loom.cli.output import terminal
    from loom.project import definition_file
    from loom_common.domain.incremental.window import Window, point_of
    from loom_common.errors import ConfigurationError, RecordError

    settings = common.configuration()
    pipeline = definition_file.load(file, settings.applied_to, settings.allowed).pipeline
    config = pipeline.extract.incremental
    if config is None:
        raise ConfigurationError(f"{file} does not read its source incrementally: it has no `extract.incremental`.")
    try:
        window = Window(newest=point_of(value, config))
    except RecordError as error:
        raise ConfigurationError(f"{value!r} cannot be the mark. {error}") from error
    follow.wait_for(state.ask(settings, lambda views: views.set_mark(pipeline.state_name, pipeline.extract, window)))
    terminal.say(f"The next run of {pipeline.state_name} begins at {window.newest.text}.")


@app.command("reset")
@grouped
def reset(
    pipeline: Annotated[str, typer.Argument(metavar="PIPELINE", help="The pipeline's name.")], *, common: Common
) -> None:
    """Forget what a pipeline has read: its next run reads all of its source."""
    from loom.cli.commands import follow, state
    from loom.cli.output import terminal
    from loom_common.domain.values.plural import counted
    from loom_common.errors import NotFound

    settings = common.configuration()
    name = settings.state_name(pipeline)
    if not (number := follow.wait_for(state.ask(settings, lambda views: views.reset_marks(name)))):
        names = sorted(
            {each.pipeline for each in follow.wait_for(state.ask(settings, lambda views: views.marks(None)))}
        )
        there = f"Those of {', '.join(names)} are." if names else "There is none of any pipeline."
        raise NotFound(f"No mark of a pipeline named '{name}' is stored here. {there}")
    terminal.say(f"Removed {counted(number, 'mark')} of {name}.")
