"""Implements `loom cancel`, and reads the options of runs."""

from __future__ import annotations

from typing import Annotated

import typer

from loom.cli.options.common import Common
from loom.cli.options.groups import grouped

RunId = Annotated[
    str,
    typer.Argument(metavar="RUN", help="The id of a run or a stream: `run_` or `stream_` and 12 letters or digits."),
]
Wait = Annotated[
    bool,
    typer.Option("--wait", help="Wait for what was never there (model, source, destination) instead of failing."),
]


@grouped
def cancel(run_id: RunId, *, common: Common) -> None:
    """Drop a run that has not ended, or that failed. What it loaded stays; what it staged is removed; the rest counts
    as cancelled. A stream is dropped with all its windows; a window alone is followed by the next one."""
    from loom.cli.commands import follow, state
    from loom.cli.output import terminal

    settings = common.configuration()
    if not settings.distributed:
        follow.wait_for(state.stream_of(settings, run_id))
    accepted = follow.wait_for(follow.cancel(settings, run_id, verbose=common.verbose))
    terminal.say(f"{accepted.run_id} of {accepted.pipeline} is {accepted.status}.")


def params_of(pairs: list[str]) -> dict[str, str]:
    """Read `KEY=VALUE` options as a mapping. Raises `typer.BadParameter`."""
    wrong = [pair for pair in pairs if "=" not in pair or pair.startswith("=")]
    if wrong:
        raise typer.BadParameter(f"'{wrong[0]}' is not KEY=VALUE", param_hint="--param")
    return dict(pair.split("=", 1) for pair in pairs)


def share_of(text: str) -> float:
    """Read a share of records: `10%`, or `0.1`. Raises `typer.BadParameter`."""
    number, percent = text.strip().removesuffix("%"), text.strip().endswith("%")
    try:
        share = float(number) / (100 if percent else 1)
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        raise typer.BadParameter(f"'{text}': expected more than 0% and less than 100%", param_hint="--canary")
    return share


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
