"""Implements `loom-coordinator topology`, which declares and shows exchanges and queues on the broker."""

from __future__ import annotations

import asyncio

import typer

from loom_coordinator.admin.shared.forms import Form, Format

app = typer.Typer(help="The broker's exchanges and queues.", no_args_is_help=True)


@app.command("apply")
def apply(form: Form = Format.TABLE) -> None:
    """Declare every exchange and queue on the broker of LOOM_BUS_URL. Safe to repeat."""
    _settle(form, declare=True)


@app.command("check")
def check(form: Form = Format.TABLE) -> None:
    """Say what is missing on the broker; exit code 1 where anything is."""
    _settle(form, declare=False)


def _settle(form: Format, *, declare: bool) -> None:
    from loom_common.flow import TOPOLOGY
    from loom_coordinator.admin.shared import output
    from loom_coordinator.admin.shared.addresses import cluster_settings
    from loom_coordinator.admin.shared.connections import broker

    async def settle() -> None:
        async with broker(cluster_settings()) as bus:
            await (bus.declare(TOPOLOGY) if declare else bus.check(TOPOLOGY))

    asyncio.run(settle())
    if form is Format.JSON:
        output.document(
            {"exchanges": list(TOPOLOGY.exchanges), "queues": [queue.name for queue in TOPOLOGY.queues]},
        )
    else:
        typer.echo(f"{len(TOPOLOGY.exchanges)} exchanges and {len(TOPOLOGY.queues)} queues are there.")
