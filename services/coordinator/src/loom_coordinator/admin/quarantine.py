"""`loom-coordinator quarantine`: what was kept back, counted. `loom quarantine list` shows the records themselves."""

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
    """Count them by pipeline, stage, code and outcome; the most first."""
    from loom_coordinator.admin.shared import numbers, output
    from loom_coordinator.admin.shared.connections import ask
    from loom_coordinator.admin.shared.output import Column
    from loom_coordinator.queries import runs

    rows = asyncio.run(ask(lambda unit: runs.quarantine_counts(unit, pipeline, run_id)))
    if form is Format.JSON:
        output.document(rows)
        return
    columns = [
        Column("pipeline_name", "pipeline", cut=True),
        Column("failure_stage", "stage"),
        Column("code", "code"),
        Column("outcome", "outcome"),
        Column("records", "records", numbers.count, number=True),
        Column("unresolved", "unresolved", numbers.count, number=True),
        Column("newest", "newest (UTC)", numbers.moment),
    ]
    output.print_rows(rows, columns, "The quarantine is empty.")
