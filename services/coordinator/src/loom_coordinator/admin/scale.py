"""Implements `loom-coordinator scale`, which says what to scale, by which number."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loom_common.domain.values.plural import counted
from loom_coordinator.admin.shared.forms import Form, Format, Run, seconds

if TYPE_CHECKING:
    from loom_coordinator.flow_control.scale_advice import Measured

app = typer.Typer(help="How many replicas a run needs.", no_args_is_help=True)


@app.command("advice")
def advice(
    run_id: Run,
    within: Annotated[str, typer.Option("--within", metavar="TIME", help="When it is to be done: 30m, 2h.")],
    records: Annotated[
        int | None,
        typer.Option("--records", metavar="N", min=1, help="How many the run has in all, where Loom cannot know yet."),
    ] = None,
    form: Form = Format.TABLE,
) -> None:
    """Say how many transformers finish a run in time, from what it did in the last minute.

    Reckons that each transformer adds as much as those there now; what a model's rate limit allows is yours to know."""
    from loom_common.console import numbers
    from loom_coordinator.admin.shared import output
    from loom_coordinator.flow_control.scale_advice import advise

    span = seconds(within)
    measured = asyncio.run(_measured(run_id, records))
    advised = advise(measured, span)
    if form is Format.JSON:
        output.document({"run_id": run_id, "within_seconds": span, **_plain(measured), **_plain(advised)})
        return
    typer.echo(f"{run_id}: {counted(measured.remaining, 'record')} to go, {numbers.rate(measured.rate)} records/s")
    if advised.per_transformer is not None and advised.seconds is not None:
        typer.echo(
            f"{counted(measured.transformers, 'transformer')} now, {advised.per_transformer:.1f} records/s each: "
            f"done in {numbers.span(advised.seconds)}"
        )
    if advised.transformers is not None:
        typer.echo(f"within {numbers.span(span)}: {counted(advised.transformers, 'transformer')}")
    typer.echo(advised.words)


async def _measured(run_id: str, records: int | None) -> Measured:
    from loom_common.errors import ConfigurationError
    from loom_coordinator.admin.shared.addresses import cluster_settings
    from loom_coordinator.admin.shared.connections import broker, now, state
    from loom_coordinator.db.unit_of_work import begin
    from loom_coordinator.queries import cluster, runs

    settings = cluster_settings()
    async with state(settings) as engine, broker(settings) as bus:
        ready = await cluster.depths(bus)
        async with begin(engine, now(), None) as unit:
            measured = await cluster.measure(unit, await runs.find(unit.connection, run_id), ready, records)
    if measured is None:
        raise ConfigurationError(
            f"How many records {run_id} will have is not known before its source is read to the end: say --records N."
        )
    return measured


def _plain(value: Any) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
