"""`loom-coordinator`: serve, and prepare a cluster: the database's schema, the broker's topology."""

from __future__ import annotations

import asyncio
import sys

import typer

from loom_common.bootstrap import main as serve_service
from loom_common.bootstrap import open_bus
from loom_common.errors import LoomError
from loom_common.flow import TOPOLOGY
from loom_common.settings import Settings
from loom_coordinator.service import build
from loom_migrations.upgrade import upgrade_all

app = typer.Typer(
    help="Loom's coordinator and its administration.",
    no_args_is_help=False,
    add_completion=False,
    pretty_exceptions_enable=False,
)
db = typer.Typer(help="The databases of state and journal.", no_args_is_help=True)
topology = typer.Typer(help="The broker's exchanges and queues.", no_args_is_help=True)
app.add_typer(db, name="db")
app.add_typer(topology, name="topology")


@app.callback(invoke_without_command=True)
def serve(context: typer.Context) -> None:
    """Run the service, where no command is given."""
    if context.invoked_subcommand is None:
        serve_service("coordinator", build)


@db.command("upgrade")
def db_upgrade() -> None:
    """Bring the databases of LOOM_STATE_URL, LOOM_PAYLOADS_URL and LOOM_JOURNAL_URL to the newest schema.

    Safe to repeat."""
    asyncio.run(upgrade_all(Settings().databases))
    typer.echo("The state database has the newest schema.")


@topology.command("apply")
def topology_apply() -> None:
    """Declare every exchange and queue on the broker of LOOM_BUS_URL. Safe to repeat."""
    asyncio.run(_topology(apply=True))
    typer.echo(f"{len(TOPOLOGY.exchanges)} exchanges and {len(TOPOLOGY.queues)} queues are there.")


@topology.command("check")
def topology_check() -> None:
    """Say what is missing on the broker; exit code 1 where anything is."""
    asyncio.run(_topology(apply=False))
    typer.echo("Everything is there.")


async def _topology(*, apply: bool) -> None:
    bus = await open_bus(Settings(), "admin")
    try:
        await (bus.declare(TOPOLOGY) if apply else bus.check(TOPOLOGY))
    finally:
        await bus.close()


def main() -> None:
    """The entry point: errors become one line and exit code 1."""
    try:
        app()
    except (LoomError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(1)
