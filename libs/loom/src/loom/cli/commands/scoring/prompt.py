"""Implements `loom prompt`, which shows the versions of prompts that runs have used, and tries another one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from loom.cli.options.common import Common, Form, WithFiles
from loom.cli.options.groups import grouped
from loom.cli.output.formats import Format
from loom.cli.output.stdout import App

if TYPE_CHECKING:
    from loom_coordinator.queries.versions.prompts import PromptVersion

app = App(help="Look at the versions of prompts that runs have used, and try another one.", no_args_is_help=True)

Pipeline = Annotated[str, typer.Argument(metavar="PIPELINE", help="The pipeline's name.")]
_VERSION = "A version, or the beginning of it or of its content's hash."


@app.command("list")
@grouped
def list_versions(
    pipeline: Annotated[
        str | None, typer.Argument(metavar="[PIPELINE]", help="The pipeline's name. Default: all.")
    ] = None,
    form: Form = Format.TABLE,
    *,
    common: Common,
) -> None:
    """List the versions of prompts, with the runs that asked by them."""
    from loom.cli.commands import follow, state
    from loom.cli.output import terminal
    from loom.cli.output.tables import Column, print_rows

    rows = follow.wait_for(state.ask(common.configuration(), lambda views: views.prompts(pipeline)))
    columns = [
        Column("pipeline", "pipeline", keep=True),
        Column("version", "version", keep=True),
        Column("created_at", "first used (UTC)", terminal.moment, keep=True),
        Column("runs", "runs", terminal.count, number=True, keep=True),
        Column("last_run", "newest run", keep=True),
        Column("content", "text", _first_line),
    ]
    of = "" if pipeline is None else f" of '{pipeline}'"
    print_rows(rows, columns, form, f"No prompt{of} is known here: no run has asked a model by one.")


@app.command("show")
@grouped
def show(
    pipeline: Pipeline,
    version: Annotated[str | None, typer.Argument(metavar="[VERSION]", help=f"{_VERSION} Default: the newest.")] = None,
    form: Form = Format.TABLE,
    *,
    common: Common,
) -> None:
    """Show the text of a version."""
    from loom.cli.output import terminal

    found = _found(common, pipeline, version)
    if form is Format.JSON:
        terminal.print_json(found.as_json())
    else:
        terminal.stdout().print(found.content, markup=False, highlight=False, soft_wrap=True)


@app.command("diff")
@grouped
def diff(
    pipeline: Pipeline,
    before: Annotated[str, typer.Argument(metavar="VERSION", help=_VERSION)],
    after: Annotated[str | None, typer.Argument(metavar="[VERSION]", help="The other. Default: the newest.")] = None,
    form: Form = Format.TABLE,
    *,
    common: Common,
) -> None:
    """Show the lines in which two versions differ."""
    from loom.cli.output import terminal
    from loom_coordinator.queries.versions.differences import difference

    first, second = _found(common, pipeline, before), _found(common, pipeline, after)
    found = difference(first.version, first.content, second.version, second.content)
    if form is Format.JSON:
        terminal.print_json(found.as_json())
    elif found.lines:
        for line in found.lines:
            terminal.stdout().print(line, markup=False, highlight=False, soft_wrap=True)
    else:
        terminal.say("The two versions are the same text.")


def _found(common: Common, pipeline: str, version: str | None) -> PromptVersion:
    from loom.cli.commands import follow, state

    return follow.wait_for(state.ask(common.configuration(), lambda views: views.prompt(pipeline, version)))


def _first_line(text: str) -> str:
    return next(iter(text.strip().splitlines()), "")


@app.command("try")
@grouped
def try_prompt(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="The run on whose records it is tried.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="The prompt to try.")],
    sample: Annotated[
        int, typer.Option("--sample", metavar="N", min=1, max=10_000, help="On so many records of the run.")
    ] = 20,
    budget: Annotated[
        float | None, typer.Option("--budget", metavar="USD", min=0.0001, help="What the trial may cost.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether the price is right.")] = False,
    form: Form = Format.TABLE,
    *,
    common: WithFiles,
) -> None:
    """Try another prompt on records of a run, and show side by side what both came to. Nothing is loaded.

    What it will cost is told first, and asked about unless --yes is given. Up to half of the records are such as were
    kept back. The run's evaluators judge both."""
    from loom.cli.commands import follow
    from loom.cli.output import terminal
    from loom.cli.output.scores import tried
    from loom.project.yaml_positions import read_text
    from loom.rescoring.prompt_trial import try_prompt as carry_out

    config = common.configuration()
    follow.log_on_stderr(config, verbose=common.verbose)

    def agree(records: int, cost: float, unpriced: Sequence[str]) -> bool:
        terminal.say(tried.price(records, cost, unpriced))
        return yes or typer.confirm("Go on?", err=True)

    made = follow.wait_for(carry_out(config, run_id, read_text(file, str(file)), sample, budget=budget, agree=agree))
    if made is None:
        terminal.say("Nothing was asked.")
        raise typer.Exit(1)
    if form is Format.JSON:
        terminal.print_json(made.as_json())
    else:
        tried.print_tried(made)
