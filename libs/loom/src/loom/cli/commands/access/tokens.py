"""Implements the commands of `loom token`."""

from __future__ import annotations

from typing import Annotated

import typer

from loom.cli.options.common import Common, Form
from loom.cli.options.groups import grouped
from loom.cli.output.formats import Format
from loom.cli.output.stdout import App

app = App(help="Tokens of the REST API and the console.", no_args_is_help=True)


@app.command("create")
@grouped
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the token is for, such as ci or anna-laptop.")],
    user: Annotated[
        str | None, typer.Option("--user", metavar="USER", help="Whose policies hold for it. Default: NAME.")
    ] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            "--scope",
            metavar="ACTION",
            help="What it may be used for, where policies allow its user that: read, read_data, run, control, replay, "
            "discard, acknowledge, label or register. Repeatable. Default: all.",
        ),
    ] = None,
    days: Annotated[
        float, typer.Option("--days", metavar="N", min=0.01, max=3650, help="After how many days it expires.")
    ] = 90,
    *,
    common: Common,
) -> None:
    """Make a token, and print it to stdout. It is shown this once; only its hash is stored."""
    from loom.cli.commands import follow, state
    from loom.cli.output import stdout, terminal
    from loom_common.domain.access import ACTIONS

    if unknown := [each for each in scope or () if each not in ACTIONS]:
        raise typer.BadParameter(f"'{unknown[0]}' is none of {', '.join(ACTIONS)}", param_hint="--scope")
    if not name.strip() or len(name) > 255 or len(user or "") > 255:
        raise typer.BadParameter("it is empty, or longer than 255 characters", param_hint="NAME")
    scopes = scope or ["*"]
    settings = common.configuration()
    secret = follow.wait_for(state.ask(settings, lambda views: views.create_token(name, user or name, scopes, days)))
    stdout.stream().write(f"{secret}\n")
    terminal.say(f"This is the token {name} of {user or name}, for {days:g} days. It is not shown again.")
    if not settings.access.controlled:
        terminal.say("No request needs it yet: loom.yaml has no policies. See docs/api.md, Who may ask.")


@app.command("list")
@grouped
def list_tokens(form: Form = Format.TABLE, *, common: Common) -> None:
    """List tokens: whose they are, what they may be used for, and until when."""
    from loom.cli.commands import follow, state
    from loom.cli.output import terminal
    from loom.cli.output.tables import Column, print_rows

    found = follow.wait_for(state.ask(common.configuration(), lambda views: views.tokens()))
    rows = [{**each.as_json(), "scopes": " ".join(each.scopes)} for each in found]
    columns = [
        Column("name", "name", keep=True),
        Column("user", "user", keep=True),
        Column("scopes", "scopes", keep=True),
        Column("created_by", "created by", keep=True),
        *(Column(f"{name}_at", name, terminal.moment, keep=True) for name in ("created", "expires", "revoked")),
    ]
    print_rows(rows, columns, form, "There are no tokens. `loom token create NAME` makes one.")


@app.command("revoke")
@grouped
def revoke(name: Annotated[str, typer.Argument(metavar="NAME", help="The token's name.")], *, common: Common) -> None:
    """Let a token be of no more use, from the next request on. Sessions of the console that it opened end, too."""
    from loom.cli.commands import follow, state
    from loom.cli.output import terminal

    follow.wait_for(state.ask(common.configuration(), lambda views: views.revoke_token(name)))
    terminal.say(f"The token {name} is revoked.")
