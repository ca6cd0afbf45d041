"""Implements `loom-coordinator runs`, `run` and `batches`: what is running, how far it is, and what holds it up."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from loom_coordinator.admin.shared.forms import Form, Format, Limit, Run, seconds

if TYPE_CHECKING:
    from rich.console import RenderableType

    from loom_coordinator.queries.run_details import RunDetails


class Status(StrEnum):
    """Lists the statuses of a run."""

    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELLED = "cancelled"


def runs(
    status: Annotated[
        list[Status] | None,
        typer.Option(
            "--status", metavar="STATUS", help="Only these: running, paused, succeeded ... May be given again."
        ),
    ] = None,
    pipeline: Annotated[str | None, typer.Option("--pipeline", metavar="NAME", help="Only this pipeline's.")] = None,
    limit: Limit = 20,
    form: Form = Format.TABLE,
) -> None:
    """List runs, newest first."""
    from loom_common.console import numbers
    from loom_common.console.tables import Column
    from loom_coordinator.admin.shared import output
    from loom_coordinator.admin.shared.connections import ask
    from loom_coordinator.queries import run_details

    statuses = [each.value for each in status or ()]
    rows = asyncio.run(ask(lambda unit: run_details.listing(unit.connection, unit.now, statuses, pipeline, limit)))
    if form is Format.JSON:
        output.document([row.as_json() for row in rows])
        return
    columns = [
        Column("run_id", "run", keep=True),
        Column("pipeline_name", "pipeline"),
        Column("status", "status", keep=True),
        Column("priority", "prio", number=True, keep=True, optional=True),
        Column("started_at", "started (UTC)", numbers.short_moment, keep=True),
        Column("seconds", "took", numbers.span, number=True, keep=True, optional=True),
        Column("extracted", "read", numbers.count, number=True, keep=True, optional=True),
        Column("loaded", "loaded", numbers.count, number=True, keep=True),
        Column("cost", "cost", numbers.money, number=True, keep=True),
    ]
    output.print_rows(rows, columns, "No such run.")


def run(run_id: Run, form: Form = Format.TABLE) -> None:
    """Show one run: stages, batches, rates, when it will be done, cost, and what was kept back last."""
    from loom_coordinator.admin.shared import output
    from loom_coordinator.admin.shared.connections import ask
    from loom_coordinator.queries import run_details

    known = asyncio.run(ask(lambda unit: run_details.details(unit.connection, unit.now, run_id)))
    if form is Format.JSON:
        output.document(known.as_json())
        return
    console = output.console()
    for part in _parts(known):
        console.print(part, soft_wrap=isinstance(part, str), markup=False)


def batches(
    run_id: Run,
    stuck: Annotated[bool, typer.Option("--stuck", help="Only those of which nothing was heard for a while.")] = False,
    after: Annotated[str, typer.Option("--after", metavar="TIME", help="With `--stuck`: for how long.")] = "2m",
    limit: Limit = 50,
    form: Form = Format.TABLE,
) -> None:
    """List a run's batches in flight, the longest without news first.

    A stage that tells nothing of a run for as long as its timeout is asked again, by itself."""
    from loom_common.console import numbers
    from loom_common.console.tables import Column
    from loom_coordinator.admin.shared import output
    from loom_coordinator.admin.shared.connections import ask
    from loom_coordinator.queries import batches as queries_batches

    silent = seconds(after) if stuck else 0.0
    rows = asyncio.run(ask(lambda unit: queries_batches.in_flight(unit.connection, unit.now, run_id, silent, limit)))
    if form is Format.JSON:
        output.document([row.as_json() for row in rows])
        return
    columns = [
        Column("batch_id", "batch", keep=True),
        Column("partition", "partition", number=True, keep=True, optional=True),
        Column("slice", "slice", number=True, keep=True, optional=True),
        Column("position", "position", number=True, keep=True, optional=True),
        Column("records", "records", numbers.count, number=True, keep=True),
        Column("waits_for", "waits for", keep=True),
        Column("silent_seconds", "no news for", numbers.span, number=True, keep=True),
    ]
    output.print_rows(rows, columns, "No batch of it is stuck." if stuck else "No batch of it is in flight.")


def _parts(known: RunDetails) -> Iterator[RenderableType]:
    from loom_common.console import numbers
    from loom_common.console.tables import Column, RowTable

    yield f"{known.line.run_id}  {known.line.pipeline_name} {known.line.pipeline_version}  {known.line.status.upper()}"
    by = f" by {known.line.requested_by}" if known.line.requested_by else ""
    took = numbers.span(known.line.seconds)
    yield f"started {numbers.short_moment(known.line.started_at)} UTC{by}, {took}, priority {known.line.priority}"
    yield f"to {known.destination}"
    if known.line.notice:
        yield f"notice: {known.line.notice}"
    yield ""
    yield RowTable(
        known.stages,
        [
            Column("stage", "stage", keep=True),
            Column("records_in", "in", numbers.count, number=True, keep=True),
            Column("records_out", "out", numbers.count, number=True, keep=True),
            Column("batches_waiting", "batches waiting", numbers.count, number=True, keep=True),
            Column("seconds", "worked", numbers.span, number=True, keep=True),
        ],
    )
    yield ""
    ends = ", ".join(f"{numbers.count(number)} {name}" for name, number in known.records.items() if number)
    yield f"records: {ends or 'none yet'}"
    if known.partitions.total > 1:
        yield f"partitions: {known.partitions.total}, {known.partitions.read} of them read to their end"
    counts = known.batches
    window = f" of {known.credit_window} that may be" if known.credit_window is not None else ""
    yield f"batches: {numbers.count(counts.done)} done, {numbers.count(counts.in_flight)} in flight{window}"
    if known.line.status == "running":
        yield f"pace: {numbers.rate(known.records_per_second)} records/s in the last minute; {_eta(known)}"
    calls, costs = known.calls, known.cost_by_stage
    yield (
        f"cost: {numbers.money(known.line.cost)} (transform {numbers.money(costs['transform'])}, evaluate "
        f"{numbers.money(costs['evaluate'])}); calls: {numbers.count(calls.made)} made, "
        f"{numbers.count(calls.from_cache)} from the journal"
    )
    if known.last_kept:
        yield ""
        yield RowTable(
            known.last_kept,
            [
                Column("quarantined_at", "kept back last", numbers.short_moment, keep=True),
                Column("failure_stage", "stage", keep=True),
                Column("code", "code", keep=True),
                Column("record_id", "record"),
                Column("failure_reason", "reason"),
            ],
        )


def _eta(known: RunDetails) -> str:
    from loom_common.console import numbers

    if known.remaining is None:
        return "how many are to come is known once the source is read to its end"
    if known.eta_seconds is None:
        return f"{numbers.count(known.remaining)} to go"
    return f"{numbers.count(known.remaining)} to go, done in about {numbers.span(known.eta_seconds)}"
