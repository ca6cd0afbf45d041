"""Implements `loom resume` and `loom cancel`, and reads the options of runs."""

from __future__ import annotations

from typing import Annotated

import typer

from loom.cli.options.common import Common, Form, WithFiles
from loom.cli.options.groups import grouped
from loom.cli.output.formats import Format

RunId = Annotated[str, typer.Argument(metavar="RUN", help="The run's id: `run_` and 12 letters or digits.")]
Wait = Annotated[
    bool,
    typer.Option("--wait", help="Wait for what was never there (model, source, destination) instead of failing."),
]


@grouped
def resume(
    run_id: RunId,
    budget: Annotated[
        float | None,
        typer.Option("--budget", metavar="USD", min=1e-6, max=1e12, help="What the run may cost in all, from now on."),
    ] = None,
    wait: Wait = False,
    form: Form = Format.TABLE,
    *,
    common: WithFiles,
) -> None:
    """Finish a run that was interrupted, paused or killed. What was done is not done again.

    A run that spent its budget goes on with `--budget`."""
    from loom.cli.commands import follow, state

    settings = common.configuration()
    follow.wait_for(state.refuse_unknown(settings, run_id))
    outcome = follow.wait_for(
        follow.carry_out(
            settings,
            lambda session: session.resume(run_id, budget),
            form,
            verbose=common.verbose,
            flags=common.flags,
            wait=wait,
        )
    )
    raise typer.Exit(outcome.code)


@grouped
def cancel(run_id: RunId, *, common: Common) -> None:
    """Drop a run that has not ended, or that failed. What it loaded stays; what it staged is removed; the rest counts
    as cancelled."""
    from loom.cli.commands import follow, state
    from loom.cli.output import terminal

    settings = common.configuration()
    follow.wait_for(state.refuse_unknown(settings, run_id))
    accepted = follow.wait_for(follow.cancel(settings, run_id, verbose=common.verbose))
    terminal.say(f"{accepted.run_id} of {accepted.pipeline} is {accepted.status}.")


def params_of(pairs: list[str]) -> dict[str, str]:
    """Read `KEY=VALUE` options as a mapping. Raises `typer.BadParameter`."""
    wrong = [pair for pair in pairs if "=" not in pair or pair.startswith("=")]
    if wrong:
        raise typer.BadParameter(f"'{wrong[0]}' is not KEY=VALUE", param_hint="--param")
    return dict(pair.split("=", 1) for pair in pairs)


def limits_of(pairs: list[str]) -> dict[str, str]:
    """Read `NAME=LIMIT` options as a mapping, like the `fail_on` of a pipeline. Raises `typer.BadParameter`."""
    from loom_common.domain.quality.fail_on import COUNTS, Allowed

    limits = {}
    for pair in pairs:
        name, _, limit = pair.partition("=")
        if name not in COUNTS:
            raise typer.BadParameter(f"'{name}' is none of {', '.join(COUNTS)}", param_hint="--fail-on")
        try:
            limits[name] = str(Allowed.of(limit))
        except ValueError as error:
            raise typer.BadParameter(f"'{pair}': expected {error}", param_hint="--fail-on") from None
    return limits
