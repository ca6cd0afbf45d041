"""Implements `loom-coordinator dead`, which shows messages that no one could read or handle."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from loom_coordinator.admin.shared.forms import Form, Format, Limit

if TYPE_CHECKING:
    from loom_coordinator.queries.dead_letters import DeadLetterLine, WholeDeadLetter

app = typer.Typer(help="Messages in loom.dead: what no one could read or handle.", no_args_is_help=True)

Ids = Annotated[
    list[str] | None,
    typer.Argument(metavar="[ID]...", help="As `dead list` shows them, any number; a beginning will do."),
]
All = Annotated[bool, typer.Option("--all", help="Every one there is.")]


@app.command("list")
def list_letters(limit: Limit = 50, form: Form = Format.TABLE) -> None:
    """List dead letters, oldest first. They stay where they are."""
    from loom_common.console.tables import Column
    from loom_coordinator.admin.shared import output

    rows = asyncio.run(_summaries(limit))
    if form is Format.JSON:
        output.document([row.as_json() for row in rows])
        return
    columns = [
        Column("id", "id", keep=True),
        Column("type", "type"),
        Column("run_id", "run", keep=True),
        Column("by", "by", keep=True, optional=True),
        Column("reason", "reason"),
    ]
    output.print_rows(rows, columns, "No dead letters.")


@app.command("show")
def show_letter(
    letter: Annotated[str, typer.Argument(metavar="ID", help="As `dead list` shows it; a beginning will do.")],
    form: Form = Format.TABLE,
) -> None:
    """Show one dead letter whole: where it was going, why it is here, its headers and its body."""
    from loom_common.console.streams import harmless
    from loom_coordinator.admin.shared import output
    from loom_coordinator.admin.shared.addresses import cluster_settings
    from loom_coordinator.admin.shared.connections import claiming_broker
    from loom_coordinator.queries import dead_letters

    async def whole() -> WholeDeadLetter:
        async with claiming_broker(cluster_settings()) as bus, dead_letters.taken(bus) as letters:
            return dead_letters.chosen(letters, [letter])[0].whole()

    known = asyncio.run(whole()).as_json()
    if form is Format.JSON:
        output.document(known)
        return
    body = known.pop("body")
    width = max(map(len, known))
    for name, value in known.items():
        typer.echo(f"{name:<{width}}  {'-' if value is None else harmless(str(value))}")
    typer.echo(f"\n{harmless(str(body))}")


@app.command("replay")
def replay(ids: Ids = None, every: All = False, form: Form = Format.TABLE) -> None:
    """Send dead letters where they were going, as if for the first time.

    One is removed here only when the broker has confirmed it there."""
    _settle(ids or [], form, "replayed", every=every)


@app.command("discard")
def discard(
    ids: Ids = None,
    every: All = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    form: Form = Format.TABLE,
) -> None:
    """Throw dead letters away, for good."""
    if not yes:
        typer.confirm(
            "Throw away " + ("all dead letters?" if every else f"{', '.join(ids or [])}?"), abort=True, err=True
        )
    _settle(ids or [], form, "discarded", every=every)


def _settle(ids: list[str], form: Format, what: str, *, every: bool) -> None:
    from loom_coordinator.admin.shared import output

    if bool(ids) == every:
        raise typer.BadParameter("Name the dead letters, or say --all.")

    settled, staying = asyncio.run(_settled(ids, replaying=what == "replayed", every=every))
    if form is Format.JSON:
        output.document({what: settled, "staying": staying})
        return
    typer.echo(f"{len(settled)} {what}.")
    if staying:
        output.say(f"{len(staying)} stay: they do not say where they were going ({', '.join(staying[:5])}).")


async def _settled(ids: list[str], *, replaying: bool, every: bool) -> tuple[list[str], list[str]]:
    """Return the ids of what was settled, and of what could not be. Each letter is met once: what dies again stays
    dead."""
    from loom_common.flow import DEAD_QUEUE
    from loom_coordinator.admin.shared.addresses import cluster_settings
    from loom_coordinator.admin.shared.connections import broker
    from loom_coordinator.queries import dead_letters

    settled: list[str] = []
    staying: list[str] = []
    async with broker(cluster_settings()) as bus:
        left = await bus.depth(DEAD_QUEUE)
        while True:
            async with dead_letters.taken(bus, min(left, dead_letters.MOST)) as letters:
                mine = letters if every else dead_letters.chosen(letters, ids)
                lost = [letter for letter in mine if every and replaying and letter.exchange is None]
                mine = [letter for letter in mine if letter not in lost]
                await (dead_letters.replay(bus, mine) if replaying else dead_letters.discard(mine))
            settled += [letter.id for letter in mine]
            staying = [letter.id for letter in lost]
            left -= len(mine)
            if not (every and mine and left > len(staying)):
                return settled, staying


async def _summaries(limit: int) -> list[DeadLetterLine]:
    from loom_coordinator.admin.shared.addresses import cluster_settings
    from loom_coordinator.admin.shared.connections import broker
    from loom_coordinator.queries import dead_letters

    async with broker(cluster_settings()) as bus, dead_letters.taken(bus, limit) as letters:
        return [letter.summary() for letter in letters]
