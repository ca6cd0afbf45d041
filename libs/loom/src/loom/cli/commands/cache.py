"""Implements `loom cache`, which shows what the journal of model calls holds, and deletes it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from loom.cli.options.common import Common, Form
from loom.cli.options.groups import grouped
from loom.cli.output.formats import Format
from loom.cli.output.stdout import App
from loom_common.domain.values.plural import counted

if TYPE_CHECKING:
    from loom.project.config import LoomConfig
    from loom_ai.ports import Journal, Kept

app = App(help="Answers of models that later runs reuse.", no_args_is_help=True)


@app.command("stats")
@grouped
def stats(
    form: Form = Format.TABLE,
    *,
    common: Common,
) -> None:
    """Show how many answers are kept, by model: their tokens, what they cost, how old they are."""
    from loom.cli.commands.follow import wait_for
    from loom.cli.output import terminal
    from loom.cli.output.tables import Column, print_rows

    rows = [
        {
            "provider": kept.provider,
            "model": kept.model,
            "answers": kept.answers,
            "tokens_in": kept.tokens_in,
            "tokens_out": kept.tokens_out,
            "cost_usd": round(kept.cost, 6),
            "oldest": kept.oldest.isoformat(timespec="seconds"),
            "newest": kept.newest.isoformat(timespec="seconds"),
        }
        for kept in wait_for(_kept(common.configuration()))
    ]
    columns = [
        Column("model", "model", keep=True),
        Column("answers", "answers", terminal.count, number=True),
        Column("tokens_in", "tokens in", terminal.count, number=True),
        Column("tokens_out", "tokens out", terminal.count, number=True),
        Column("cost_usd", "cost", terminal.money, number=True),
        Column("oldest", "oldest (UTC)", terminal.moment),
    ]
    print_rows(rows, columns, form, "No answer is kept.")


@app.command("clear")
@grouped
def clear(
    older_than: Annotated[
        str | None, typer.Option(metavar="AGE", help="Only answers older than this: `12h`, `7d`.")
    ] = None,
    model: Annotated[str | None, typer.Option(metavar="NAME", help="Only answers of this model.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    form: Form = Format.TABLE,
    *,
    common: Common,
) -> None:
    """Forget answers. The same questions are then paid for again, also by unfinished runs that are resumed."""
    from loom.cli.commands.follow import wait_for
    from loom.cli.output import terminal
    from loom_common.errors import ConfigurationError

    settings = common.configuration()
    if not yes:
        if not sys.stdin.isatty():
            raise ConfigurationError("Forgetting answers costs money when they are asked for again. Add --yes.")
        typer.confirm("Forget answers, to be paid again when they are asked for again?", abort=True)
    gone = wait_for(_clear(settings, older_than, model))
    if form is Format.JSON:
        terminal.print_json({"forgotten": gone})
    else:
        terminal.say(f"{counted(gone, 'entry', 'entries')} forgotten.")


async def _kept(config: LoomConfig) -> list[Kept]:
    journal = await _journal(config)
    try:
        return await journal.kept()
    finally:
        await journal.close()


async def _clear(config: LoomConfig, older_than: str | None, model: str | None) -> int:
    import datetime as dt

    before = None if older_than is None else dt.datetime.now(dt.UTC) - dt.timedelta(seconds=_seconds(older_than))
    journal = await _journal(config)
    try:
        return await journal.clear(before, model)
    finally:
        await journal.close()


async def _journal(config: LoomConfig) -> Journal:
    """Open the journal of the configured mode, with its tables as they have to be. Raises `ConfigurationError` where a
    cluster is meant and nobody said where its journal is: a file of this project is not it."""
    from loom.engine import prepare
    from loom_ai.stores.beside_journal import open_journal
    from loom_common.errors import ConfigurationError

    settings = config.settings()
    url = settings.journal.url.get_secret_value()
    if not config.distributed:
        await prepare(settings)
    elif url.startswith("sqlite:"):
        raise ConfigurationError(
            "The cluster's journal is not known here. Name what its workers have as LOOM_JOURNAL_URL: "
            "`cache: {backend: redis, url: redis://...}` in loom.yaml, or LOOM_JOURNAL_URL in the environment."
        )
    return open_journal(url, settings.project_dir)


def _seconds(age: str) -> float:
    """Raises `ConfigurationError` where it is none."""
    from pydantic import TypeAdapter, ValidationError

    from loom_common.domain.values.durations import Duration, seconds
    from loom_common.errors import ConfigurationError

    try:
        return seconds(TypeAdapter(Duration).validate_python(age))
    except ValidationError as error:
        raise ConfigurationError(f"--older-than {age!r}: expected {error.errors()[0]['msg']}.") from None
