"""Implements `loom-coordinator quarantine`, which counts what was kept back. `loom quarantine list` shows the records
themselves."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from loom_coordinator.admin.shared.forms import Form, Format

app = typer.Typer(help="Records that were not let through.", no_args_is_help=True)


@app.command("stats")
def stats(
    pipeline: Annotated[str | None, typer.Option("--pipeline", metavar="NAME", help="Only this pipeline's.")] = None,
    run_id: Annotated[str | None, typer.Option("--run", metavar="RUN", help="Only this run's.")] = None,
    form: Form = Format.TABLE,
) -> None:
    """Count quarantined records by pipeline, stage, code and outcome; the most first."""
    from loom_common.console import numbers
    from loom_common.console.tables import Column
    from loom_coordinator.admin.shared import output
    from loom_coordinator.admin.shared.connections import ask
    from loom_coordinator.queries import records

    rows = asyncio.run(ask(lambda unit: records.kept_counts(unit.connection, pipeline, run_id)))
    if form is Format.JSON:
        output.document([row.as_json() for row in rows])
        return
    columns = [
        Column("pipeline_name", "pipeline"),
        Column("failure_stage", "stage", keep=True),
        Column("code", "code", keep=True),
        Column("outcome", "outcome", keep=True),
        Column("records", "records", numbers.count, number=True, keep=True),
        Column("unresolved", "unresolved", numbers.count, number=True, keep=True),
        Column("newest", "newest (UTC)", numbers.short_moment, keep=True, optional=True),
    ]
    output.print_rows(rows, columns, _none(pipeline, run_id))


def _none(pipeline: str | None, run_id: str | None) -> str:
    """Say that nothing was counted."""
    everything = pipeline is None and run_id is None
    return "The quarantine is empty." if everything else "The quarantine holds none of these."
