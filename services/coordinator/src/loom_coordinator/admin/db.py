"""Implements `loom-coordinator db`, which shows and upgrades the databases' schema."""

from __future__ import annotations

import asyncio

import typer

from loom_common.domain.values.plural import counted
from loom_coordinator.admin.shared.forms import Form, Format

app = typer.Typer(help="The databases of state, payloads and journal.", no_args_is_help=True)


@app.command("upgrade")
def upgrade(form: Form = Format.TABLE) -> None:
    """Bring the databases of LOOM_STATE_URL, LOOM_PAYLOADS_URL and LOOM_JOURNAL_URL to the newest schema.

    Safe to repeat."""
    from loom_coordinator.admin.shared import output
    from loom_coordinator.admin.shared.addresses import cluster_settings
    from loom_migrations.upgrade import newest, upgrade_all

    databases = cluster_settings().databases
    asyncio.run(upgrade_all(databases))
    if form is Format.JSON:
        output.document({"databases": len(databases), "schema": newest()})
    else:
        typer.echo(f"{counted(len(databases), 'database')} at schema {newest()}.")
