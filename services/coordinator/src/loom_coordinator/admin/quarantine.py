"""`loom-coordinator quarantine`: what was kept back, counted. `loom quarantine list` shows the records themselves."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from loom_coordinator.admin.forms import Form, Format

app = typer.Typer(help="Records that were not let through.", no_args_is_help=True)


@app.command("stats")
def stats(
    pipeline: Annotated[str | None, typer.Option("--pipeline", metavar="NAME", help="Only this pipeline's.")] = None,
    run_id: Annotated[str | None, typer.Option("--run", metavar="RUN", help="Only this run's.")] = None,
    form: Form = Format.TABLE,
) -> None:
    """Count them by pipeline, stage, code and outcome; the most first."""
    from loom_coordinator import inspection
    from loom_coordinator.admin import show, words
    from loom_coordinator.admin.opening import ask
    from loom_coordinator.admin.show import Column

    rows = asyncio.run(ask(lambda unit: inspection.quarantine_counts(unit, pipeline, run_id)))
    if form is Format.JSON:
        show.document(rows)
        return
    columns = [
        Column("pipeline_name", "pipeline", cut=True),
        Column("failure_stage", "stage"),
        Column("code", "code"),
        Column("outcome", "outcome"),
        Column("records", "records", words.count, number=True),
        Column("unresolved", "unresolved", words.count, number=True),
        Column("newest", "newest (UTC)", words.moment),
    ]
    show.print_rows(rows, columns, "The quarantine is empty.")
