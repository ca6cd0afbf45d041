"""Implements `loom-coordinator reconcile`, which checks whether everything that is written of a run says the same."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING, Annotated

import typer

from loom_coordinator.admin.shared.forms import Form, Format, Run

if TYPE_CHECKING:
    from loom_coordinator.queries.audit.rules import Books


def reconcile(
    run_id: Run,
    destination: Annotated[
        str | None,
        typer.Option(
            "--destination", metavar="URL", help="Also the load ledger there: postgres://... or sqlite:///..."
        ),
    ] = None,
    form: Form = Format.TABLE,
) -> None:
    """Compare what a run's row, its batches, the quarantine and the load ledger say; exit code 1 where they differ.

    `${NAME}` in the URL is taken from the environment. Quote it, so that the shell leaves it alone."""
    from loom_coordinator.admin.shared import output
    from loom_coordinator.db import run_rows
    from loom_coordinator.queries.audit.rules import differences

    books = asyncio.run(_read(run_id, destination))
    found = differences(books)
    if form is Format.JSON:
        output.document(
            {
                "run_id": run_id,
                "status": books.status,
                "ledger": books.ledger is not None,
                "differences": [dataclasses.asdict(each) for each in found],
            }
        )
    else:
        places = "run, batches and quarantine" + (" and load ledger" if books.ledger is not None else "")
        for each in found:
            typer.echo(f"{each.what}: {each.expected} against {each.found}")
        typer.echo(f"{run_id} ({books.status}): " + (f"{len(found)} differences" if found else f"{places} agree"))
    if books.status not in run_rows.TERMINAL:
        output.say("The run has not ended: what is on its way stands in one place and not yet in the other.")
    if found:
        raise typer.Exit(1)


async def _read(run_id: str, destination: str | None) -> Books:
    from loom_coordinator.admin.shared.connections import ask
    from loom_coordinator.queries.audit import books

    ledger = await books.ledger(destination, run_id) if destination else None
    return await ask(lambda unit: books.books(unit.connection, run_id, ledger))
