"""Puts the commands of `loom-coordinator` together, and reports an error that reaches the top.

Exit codes: 0 done, 1 it could not be done, or something is amiss, 2 bad usage or configuration."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import typer

from loom_common.console.command_help import with_whole_sentences
from loom_common.errors import ConfigurationError, LoomError
from loom_common.text import named, storable, words_of
from loom_coordinator.admin import db, dead, orders, prefetch, quarantine, reconcile, runs, scale, status, topology

app = typer.Typer(
    name="loom-coordinator",
    help="Loom's coordinator. Without a command it is the service; with one, the cluster's administration.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("status")(status.status)
app.command("runs")(runs.runs)
app.command("run")(runs.run)
app.command("batches")(runs.batches)
app.command("pause")(orders.pause)
app.command("resume")(orders.resume)
app.command("cancel")(orders.cancel)
app.command("priority")(orders.priority)
app.add_typer(dead.app, name="dead")
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(prefetch.app, name="prefetch")
app.add_typer(scale.app, name="scale")
app.command("reconcile")(reconcile.reconcile)
app.add_typer(topology.app, name="topology")
app.add_typer(db.app, name="db")


@app.callback(invoke_without_command=True)
def serve(context: typer.Context) -> None:
    """Run the service, where no command is given."""
    if context.invoked_subcommand is None:
        from loom_common.service.process import main as serve_service
        from loom_coordinator.service import build

        serve_service("coordinator", build)
    else:
        from loom_common.config.settings import LogSettings
        from loom_common.service.logging import configure_logging

        configure_logging(LogSettings(level="error", format="console"))
        logging.disable()  # what a library has to say reaches the person as the error it leads to


@cache
def command() -> Callable[..., Any]:
    """Return all commands as one that is called with arguments. They are put together once in a process."""
    return with_whole_sentences(typer.main.get_command(app))


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve as the entry point. Ends the process: every way out is an exit code, every error a line."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if strange := next((each for each in given if each != storable(each)), None):
        sys.exit(tell(ConfigurationError(f"The argument {strange!r} is not UTF-8.")))
    try:
        command()(args=given, prog_name="loom-coordinator")
    except Exception as error:  # noqa: BLE001 - the rim of the process: told to the person, settled as an exit code
        sys.exit(tell(error))


def tell(error: Exception) -> int:
    """Say what went wrong on stderr, in a line. Returns the exit code."""
    from loom_common.console.streams import harmless

    expected = isinstance(error, LoomError | OSError)
    words = words_of(error) if expected else f"unexpected {named(error).splitlines()[0]}"
    typer.echo(f"error: {harmless(' '.join(words.split()))}", err=True)
    return 2 if isinstance(error, ConfigurationError) else 1
