"""Implements `loom-coordinator prefetch`, which shows and sets how many messages a replica may have in flight."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from loom_coordinator.admin.shared.forms import Form, Format

if TYPE_CHECKING:
    from loom_coordinator.db.unit_of_work import UnitOfWork

app = typer.Typer(help="How many messages a replica may have in flight.", no_args_is_help=True)


class Limited(StrEnum):
    """Lists the services whose prefetch can be set."""

    EXTRACTOR = "extractor"
    TRANSFORMER = "transformer"
    EVALUATOR = "evaluator"
    LOADER = "loader"
    QUARANTINE = "quarantine"


Service = Annotated[
    Limited, typer.Argument(metavar="SERVICE", help="extractor, transformer, evaluator, loader, quarantine.")
]


@app.command("show")
def show_limits(form: Form = Format.TABLE) -> None:
    """Show the limits, whether a person set them, and why they are what they are."""
    from loom_common.console import numbers
    from loom_common.console.tables import Column
    from loom_coordinator.admin.shared import output
    from loom_coordinator.admin.shared.connections import ask
    from loom_coordinator.queries import prefetch as queries_prefetch

    rows = asyncio.run(ask(lambda unit: queries_prefetch.limits(unit.connection, unit.now)))
    if form is Format.JSON:
        output.document([row.as_json() for row in rows])
        return
    columns = [
        Column("service", "service", keep=True, optional=True),
        Column("queue", "queue", lambda queue: queue.removeprefix("loom."), keep=True),
        Column("prefetch", "limit", number=True, keep=True),
        Column("in_force", "in force", lambda limits: ", ".join(map(str, limits)) or "-", number=True, keep=True),
        Column("by_hand", "by", lambda by_hand: "hand" if by_hand else "auto", keep=True),
        Column("changed_at", "since (UTC)", numbers.short_moment, keep=True),
        Column("reason", "why"),
    ]
    output.print_rows(rows, columns, "No limit is set yet: a coordinator sets them once it has heard of replicas.")


@app.command("set")
def set_limit(
    service: Service,
    limit: Annotated[int, typer.Argument(metavar="N", min=1, max=1000, help="Messages in flight, per replica.")],
    form: Form = Format.TABLE,
) -> None:
    """Set a prefetch limit by hand. It stays so until `prefetch auto`; replicas that start later learn it too."""
    from loom_coordinator.flow_control.prefetch_loop import set_by_hand

    _change(service, lambda unit, queue: set_by_hand(unit, queue, limit), form, limit)


@app.command("auto")
def auto(service: Service, form: Form = Format.TABLE) -> None:
    """Let the coordinator find it again, from where it stands."""
    from loom_coordinator.flow_control.prefetch_loop import set_free

    _change(service, set_free, form, None)


def _change(
    service: Limited, change: Callable[[UnitOfWork, str], Awaitable[None]], form: Format, limit: int | None
) -> None:
    from loom_common import flow
    from loom_coordinator.admin.shared import output
    from loom_coordinator.admin.shared.addresses import cluster_settings
    from loom_coordinator.admin.shared.connections import broker, now, state
    from loom_coordinator.db.unit_of_work import begin
    from loom_coordinator.flow_control.prefetch_loop import told

    queues = [queue for queue, consumer in flow.CONSUMERS.items() if consumer == service]

    async def settle() -> None:
        settings = cluster_settings()
        async with state(settings, reads=False) as engine, broker(settings) as bus:
            async with begin(engine, now(), None) as unit:
                for queue in queues:
                    await change(unit, queue)
            if limit is not None:  # this tells it at once; the coordinator says it again every few seconds
                await bus.publish([told(queue, limit) for queue in queues])

    asyncio.run(settle())
    if form is Format.JSON:
        output.document({"service": service.value, "queues": queues, "prefetch": limit, "by_hand": limit is not None})
    else:
        typer.echo(
            f"{service.value}: " + ("found by the coordinator" if limit is None else f"prefetch {limit}, by hand")
        )
