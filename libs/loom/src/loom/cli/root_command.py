"""Puts the commands of `loom` together: the one that is called, none for the version, or all of them where help, a
completion or a name that nobody knows asks for that. The modules of the others are not imported, and their options
not read."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Annotated, Any

import typer

from loom.cli.output.stdout import App
from loom_common.console.command_help import with_whole_sentences

_COMMANDS = {
    "run": "starting.run:run",
    "backfill": "starting.backfill:backfill",
    "register": "cluster.register:register",
    "schedule": "cluster.schedule:schedule",
    "resume": "starting.resume:resume",
    "drain": "streams.drain:drain",
    "promote": "streams.canary:promote",
    "rollback": "streams.canary:rollback",
    "cancel": "run:cancel",
    "validate": "validate:validate",
    "graph": "beginning.graph:graph",
    "test": "testing.test:test",
    "init": "beginning.init:init",
    "demo": "beginning.demo:demo",
    "doctor": "beginning.doctor:doctor",
    "list": "browse:list_pipelines",
    "status": "browse:status",
    "show": "results.show:show",
    "report": "results.report:report",
    "history": "browse:history",
    "manifest": "manifest:manifest",
    "lineage": "browse:lineage",
    "metrics": "metrics:metrics",
    "cost": "cost:cost",
    "evaluate": "scoring.evaluate:evaluate",
    "diff": "scoring.diff:diff",
    "compare": "scoring.diff:diff",
    "label": "labelling.label:label",
    "audit": "access.audit:audit",
    "connectors": "offered.plugins:connectors",
    "serve": "servers.serve:serve",
    "mcp": "servers.mcp:mcp",
    "simulate-model": "servers.simulate:simulate_model",
}
"""Names the function of each command, in the order of the help."""
_GROUPS = {
    "bench": "benchmarks.commands:app",
    "quarantine": "quarantine:app",
    "prompt": "scoring.prompt:app",
    "templates": "beginning.templates:app",
    "cache": "cache:app",
    "config": "config:app",
    "plugins": "offered.plugins:app",
    "steps": "offered.steps:app",
    "ontology": "offered.ontology:app",
    "token": "access.tokens:app",
    "schema": "schemas.commands:app",
    "state": "marks.commands:app",
}
"""Names the application of each group of commands."""
_ALL = (*_COMMANDS, *_GROUPS)
_VERSION = "--version"


def command(arguments: Sequence[str]) -> Callable[..., Any]:
    """Return what is called with `arguments`: the command that stands first in them, none, or all."""
    first = next(iter(arguments), "")
    return _made((first,) if first in _ALL else () if first == _VERSION else _ALL)


@functools.cache
def _made(names: tuple[str, ...]) -> Callable[..., Any]:
    """Make the command once in a process, because that takes as long as a small command."""
    return with_whole_sentences(typer.main.get_command(application(names)))


def application(names: Sequence[str] = _ALL) -> App:
    """Return the application with these commands and groups. The options that install a completion, which stand before
    all commands, are part of the whole one: Typer imports pydantic to read them, or a `--help` without a default."""
    app = App(
        name="loom",
        add_completion=names == _ALL,
        context_settings={"default_map": {"help": False}},
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,  # plain help takes a third of the time
    )
    app.callback(
        help="AI pipelines as declarative, testable, observable data pipelines: extract, transform, evaluate, load."
    )(root)
    for name in names:
        if name in _COMMANDS:
            app.command(name)(_found(_COMMANDS[name]))
        else:
            app.add_typer(_found(_GROUPS[name]), name=name)
    return app


def _found(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(f"loom.cli.commands.{module}"), name)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - an option's value
    if wanted:
        import platform
        from importlib.metadata import version

        typer.echo(f"loom {version('loom-pipelines')} (Python {platform.python_version()})")
        raise typer.Exit


def root(
    version: Annotated[
        bool, typer.Option(_VERSION, callback=_print_version, is_eager=True, help="Show the version of Loom.")
    ] = False,
) -> None:
    """Take the options that stand before a command."""
