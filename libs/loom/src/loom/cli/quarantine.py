"""`loom quarantine`: the records that did not get through, and another try for them."""

from __future__ import annotations

from typing import Annotated

import typer

from loom.cli.forms import Format
from loom.cli.options import Cluster, ConfigPath, Form, Verbose, configuration

app = typer.Typer(help="Look at records that did not get through, and try them again.", no_args_is_help=True)


@app.command("list")
def list_records(
    pipeline: Annotated[str | None, typer.Option("--pipeline", metavar="NAME", help="Only this pipeline's.")] = None,
    run_id: Annotated[str | None, typer.Option("--run-id", metavar="RUN", help="Only this run's.")] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="At most so many, newest first.")] = 50,
    cluster: Cluster = False,
    config: ConfigPath = None,
    form: Form = Format.TABLE,
    verbose: Verbose = False,  # noqa: ARG001 - read by `main`
) -> None:
    """List quarantined and rejected records with stage, reason, data and scores."""
    from loom.cli import running, state
    from loom.cli.tables import Column, print_rows

    settings = configuration(config, cluster=cluster)
    rows = running.wait_for(state.ask(settings, lambda views: views.quarantined(pipeline, run_id, limit)))
    columns = [
        Column("record_id", "record"),
        Column("failure_stage", "stage", keep=True),
        Column("failure_reason", "reason"),
        Column("record_data", "data"),
        Column("run_id", "run", keep=True),
    ]
    print_rows(rows, columns, form, "No record is in quarantine.")


@app.command("retry")
def retry(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="The run whose records are tried again.")],
    record_ids: Annotated[
        str | None,
        typer.Option("--record-ids", metavar="ID,ID...", help="Only these. Default: all that are unresolved."),
    ] = None,
    cluster: Cluster = False,
    config: ConfigPath = None,
    form: Form = Format.TABLE,
    verbose: Verbose = False,
) -> None:
    """Run a run's quarantined records through its pipeline again, as a run of its own."""
    from loom.cli import running

    settings = configuration(config, cluster=cluster)
    chosen = tuple(name.strip() for name in record_ids.split(",") if name.strip()) if record_ids else None
    flags = " --cluster" if cluster else ""
    code = running.wait_for(
        running.carry_out(settings, lambda session: session.replay(run_id, chosen), form, verbose=verbose, flags=flags)
    )
    raise typer.Exit(code)
