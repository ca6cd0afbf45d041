"""Implements `loom-coordinator pause`, `resume`, `cancel` and `priority`, which steer a live run by message; the answer
is waited for."""

from __future__ import annotations

import asyncio
import getpass
from typing import Annotated, Literal

import typer

from loom_coordinator.admin.shared.forms import Form, Format, Run


def pause(run_id: Run, form: Form = Format.TABLE) -> None:
    """Stop a run where it stands. Nothing is lost: `resume` goes on."""
    _order(run_id, "pause", form)


def resume(
    run_id: Run,
    budget: Annotated[
        float | None,
        typer.Option("--budget", metavar="USD", min=1e-6, max=1e12, help="What the run may cost in all, from now on."),
    ] = None,
    form: Form = Format.TABLE,
) -> None:
    """Go on with a run that was paused, cancelled or failed, or that lost its way. What was done is not done again."""
    _order(run_id, "resume", form, budget=budget)


def cancel(run_id: Run, form: Form = Format.TABLE) -> None:
    """End a run. What it loaded stays; the rest counts as cancelled."""
    _order(run_id, "cancel", form)


def priority(
    run_id: Run,
    level: Annotated[int, typer.Argument(metavar="LEVEL", min=1, max=10, help="1 to 10; 10 weighs twice 5.")],
    form: Form = Format.TABLE,
) -> None:
    """Change a run's share beside other runs; effective with its next slice."""
    _order(run_id, "priority", form, level)


def _order(
    run_id: str,
    verb: Literal["pause", "resume", "cancel", "priority"],
    form: Format,
    level: int | None = None,
    *,
    budget: float | None = None,
) -> None:
    from loom_common.contracts.v1 import RunAccepted, RunCommand
    from loom_coordinator.admin.shared import output
    from loom_coordinator.admin.shared.addresses import cluster_settings
    from loom_coordinator.admin.shared.connections import broker
    from loom_coordinator.admin.shared.requests import ask

    async def order() -> RunAccepted:
        command = RunCommand(run_id=run_id, verb=verb, priority=level, budget=budget, requested_by=_user_name())
        async with broker(cluster_settings()) as bus:
            return await ask(bus, command)

    answer = asyncio.run(order())
    if form is Format.JSON:
        output.document(answer.model_dump() | ({"priority": level} if level else {}))
    else:
        typer.echo(f"{answer.run_id} ({answer.pipeline}): {answer.status}" + (f", priority {level}" if level else ""))


def _user_name() -> str | None:
    """Return the user's name, where the system knows one: a container's user often has none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return None
