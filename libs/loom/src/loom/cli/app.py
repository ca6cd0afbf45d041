"""`loom`: the commands together, and what becomes of an error that reaches the top.

Exit codes: 0 succeeded, 1 failed, 2 bad usage or configuration, 3 partial, 4 cancelled, 130 interrupted."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence

import typer

from loom.cli import browse, cache, config, cost, init, quarantine, run, simulate, validate

app = typer.Typer(
    name="loom",
    help="AI pipelines as declarative, testable, observable data pipelines: extract, transform, evaluate, load.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help takes a third of the time
)
app.command("run")(run.run)
app.command("resume")(run.resume)
app.command("cancel")(run.cancel)
app.command("validate")(validate.validate)
app.command("init")(init.init)
app.command("list")(browse.list_pipelines)
app.command("status")(browse.status)
app.command("history")(browse.history)
app.command("lineage")(browse.lineage)
app.command("cost")(cost.cost)
app.command("simulate-model")(simulate.simulate_model)
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(cache.app, name="cache")
app.add_typer(config.app, name="config")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line. Ends the process: every way out is an exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        app(args=given, prog_name="loom")
    except Exception as error:  # noqa: BLE001 - the rim of the process: told to the person, settled as an exit code
        sys.exit(tell(error, verbose="--verbose" in given))


def tell(error: Exception, *, verbose: bool) -> int:
    """Say what went wrong on stderr, without a traceback unless asked for. Returns the exit code."""
    from loom_common.errors import ConfigurationError, InvalidDefinition, LoomError

    if verbose:
        traceback.print_exception(error)
    causes = _leaves(error)
    for cause in causes:
        if isinstance(cause, InvalidDefinition) and len(cause.problems) > 1:
            _say(f"error: {len(cause.problems)} mistakes\n" + "\n".join(f"  {problem}" for problem in cause.problems))
        elif isinstance(cause, LoomError):
            _say(f"error: {cause}")
        else:
            words = str(cause).partition("\n")[0].rstrip(".")
            hint = "" if verbose else " Run it again with --verbose to see where."
            _say(f"error: unexpected {type(cause).__name__}: {words}.{hint}")
    return 2 if all(isinstance(cause, ConfigurationError) for cause in causes) else 1


def _leaves(error: BaseException) -> list[BaseException]:
    """The errors themselves: tasks that fail together arrive as a group. Each message once."""
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    leaves = [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return list({str(leaf): leaf for leaf in leaves}.values())


def _say(text: str) -> None:
    from loom.cli.terminal import say

    say(text)
