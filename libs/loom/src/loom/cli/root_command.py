"""Puts the commands of `loom` together."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Annotated, Any

import typer

from loom.cli.commands import (
    browse,
    cache,
    config,
    cost,
    manifest,
    plugins,
    quarantine,
    run,
    validate,
)
from loom.cli.commands.beginning import init, templates
from loom.cli.commands.marks import commands as marks
from loom.cli.commands.schemas import commands as schemas
from loom.cli.commands.servers import serve, simulate
from loom.cli.commands.starting import backfill
from loom.cli.commands.starting import run as starting
from loom.cli.output.stdout import App

app = App(
    name="loom",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help takes a third of the time
)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - an option's value
    if wanted:
        import platform
        from importlib.metadata import version

        typer.echo(f"loom {version('loom-pipelines')} (Python {platform.python_version()})")
        raise typer.Exit


@app.callback(
    help="AI pipelines as declarative, testable, observable data pipelines: extract, transform, evaluate, load."
)
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version of Loom.")
    ] = False,
) -> None:
    """Take the options that stand before a command."""


app.command("run")(starting.run)
app.command("backfill")(backfill.backfill)
app.command("resume")(run.resume)
app.command("cancel")(run.cancel)
app.command("validate")(validate.validate)
app.command("init")(init.init)
app.command("list")(browse.list_pipelines)
app.command("status")(browse.status)
app.command("history")(browse.history)
app.command("manifest")(manifest.manifest)
app.command("lineage")(browse.lineage)
app.command("cost")(cost.cost)
app.command("connectors")(plugins.connectors)
app.command("serve")(serve.serve)
app.command("simulate-model")(simulate.simulate_model)
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(templates.app, name="templates")
app.add_typer(cache.app, name="cache")
app.add_typer(config.app, name="config")
app.add_typer(plugins.app, name="plugins")
app.add_typer(schemas.app, name="schema")
app.add_typer(marks.app, name="state")


@functools.cache
def command() -> Callable[..., Any]:
    """Return all commands as one that is called with arguments. They are put together once in a process, because that
    takes as long as a small command."""
    return typer.main.get_command(app)
