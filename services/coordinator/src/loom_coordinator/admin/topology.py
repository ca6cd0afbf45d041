"""Implements `loom-coordinator topology`, which declares and shows exchanges and queues on the broker."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated

import typer

from loom_coordinator.admin.shared.forms import Form, Format

app = typer.Typer(help="The broker's exchanges and queues.", no_args_is_help=True)


Steps = Annotated[
    list[str] | None,
    typer.Option("--step", help="A step with a queue of its own, whose queues are meant, too. May be repeated."),
]


@app.command("apply")
def apply(step: Steps = None, form: Form = Format.TABLE) -> None:
    """Declare every exchange and queue on the broker of LOOM_BUS_URL. Safe to repeat."""
    _settle(step or (), form, declare=True)


@app.command("check")
def check(step: Steps = None, form: Form = Format.TABLE) -> None:
    """Say what is missing on the broker; exit code 1 where anything is."""
    _settle(step or (), form, declare=False)


def _settle(steps: Sequence[str], form: Format, *, declare: bool) -> None:
    from loom_common.domain.steps.keys import is_name
    from loom_common.errors import ConfigurationError
    from loom_common.flow import TOPOLOGY, Topology, step_topology
    from loom_coordinator.admin.shared import output
    from loom_coordinator.admin.shared.addresses import cluster_settings
    from loom_coordinator.admin.shared.connections import broker

    if wrong := [step for step in steps if not is_name(step)]:
        raise ConfigurationError(f"--step {wrong[0]}: expected the name of a step: letters, digits, `_` and `-`.")
    topology = Topology((*TOPOLOGY.queues, *step_topology(*steps).queues), TOPOLOGY.exchanges)

    async def settle() -> None:
        async with broker(cluster_settings()) as bus:
            await (bus.declare(topology) if declare else bus.check(topology))

    asyncio.run(settle())
    if form is Format.JSON:
        output.document(
            {"exchanges": list(topology.exchanges), "queues": [queue.name for queue in topology.queues]},
        )
    else:
        typer.echo(f"{len(topology.exchanges)} exchanges and {len(topology.queues)} queues are there.")
