"""Implements `loom audit`, which shows who did what over HTTP."""

from __future__ import annotations

from typing import Annotated

import typer

from loom.cli.options.common import Common, Form
from loom.cli.options.groups import grouped
from loom.cli.output.formats import Format


@grouped
def audit(
    user: Annotated[str | None, typer.Option("--user", metavar="USER", help="Only what this user did.")] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=100_000, help="At most so many.")] = 50,
    form: Form = Format.TABLE,
    *,
    common: Common,
) -> None:
    """Show what was commanded over the REST API and the console, who signed in, which tokens were made and revoked, and
    what was denied, the newest first."""
    from loom.cli.commands import follow, state
    from loom.cli.output import terminal
    from loom.cli.output.tables import Column, print_rows

    found = follow.wait_for(state.ask(common.configuration(), lambda views: views.audit_log(user, limit)))
    columns = [
        Column("at", "at (UTC)", terminal.moment, keep=True),
        Column("user", "user", keep=True),
        Column("token_name", "token", keep=True),
        Column("action", "action", keep=True),
        Column("resource", "resource", keep=True),
        Column("run_id", "run", keep=True),
        Column("outcome", "outcome", keep=True),
        Column("reason", "reason"),
    ]
    print_rows([each.as_json() for each in found], columns, form, "Nothing was done over HTTP yet.")
