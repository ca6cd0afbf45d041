"""Implements `loom quarantine`, which shows the records that did not get through, and what to do about them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from loom.cli.options.common import Common, Form, WithFiles
from loom.cli.options.groups import grouped
from loom.cli.options.quarantine_filters import OfOneRun, OfPipeline, OfRun, Which, pairs_of
from loom.cli.output.formats import Format
from loom.cli.output.stdout import App
from loom_common.domain.values.plural import counted

if TYPE_CHECKING:
    from loom.project.config import LoomConfig
    from loom_common.domain.run.replaying import Changes
    from loom_quarantine.queries import RecordFilter

app = App(
    help="Look at records that did not get through, and try them again. Without a command, those of the newest run are "
    "listed.",
    invoke_without_command=True,
)

TheRun = Annotated[str, typer.Argument(metavar="RUN", help="The run whose records are meant; `latest` is the newest.")]
_LISTED = 50


@app.callback()
def newest(context: typer.Context) -> None:
    """List the records of the newest run where no command is given."""
    if context.invoked_subcommand is None:
        _print_list(Common().configuration(), Which(run_id="latest"), _LISTED, Format.TABLE)


@app.command("list")
@grouped
def list_records(
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, max=1_000_000_000, help="At most so many, newest first.")
    ] = _LISTED,
    form: Form = Format.TABLE,
    *,
    which: Which,
    common: Common,
) -> None:
    """List quarantined and rejected records with stage, reason, data and scores."""
    _print_list(common.configuration(), which, limit, form)


def _print_list(settings: LoomConfig, which: Which, limit: int, form: Format) -> None:
    from loom.cli.commands import follow, state
    from loom.cli.output.tables import Among, Column, print_rows

    meant = _chosen(settings, which)
    follow.wait_for(state.refuse_other(settings, meant.run_id, meant.pipeline))
    rows = follow.wait_for(state.ask(settings, lambda views: views.quarantined(meant, limit)))
    total = follow.wait_for(state.ask(settings, lambda views: views.quarantined_number(meant)))
    columns = [
        Column("record_id", "record"),
        Column("failure_stage", "stage", keep=True),
        Column("failure_reason", "reason"),
        Column("record_data", "data"),
        Column("resolution_action", "resolved"),
        Column("run_id", "run", keep=True),
    ]
    among = Among(total, "record", "`--limit N` shows more, `loom quarantine export FILE` writes all")
    print_rows(rows, columns, form, _none(meant), among)


@app.command("show")
@grouped
def show(
    record_id: Annotated[str, typer.Argument(metavar="RECORD", help="The record's id.")],
    run_id: OfRun = None,
    reveal: Annotated[
        bool, typer.Option("--reveal", help="Show sensitive fields in clear. Their key has to be at hand here.")
    ] = False,
    form: Form = Format.TABLE,
    *,
    common: Common,
) -> None:
    """Show all that is known of a record: input, prompt, output, scores with explanations, attempts, cost, replays."""
    from loom.cli.commands import follow, state
    from loom.cli.output import kept_record, terminal
    from loom_common.errors import ConfigurationError

    settings = common.configuration()
    run_id = None if run_id is None else follow.wait_for(state.named_run(settings, run_id))
    follow.wait_for(state.refuse_other(settings, run_id, None))
    record = follow.wait_for(
        state.ask(
            settings,
            lambda views: (
                views.revealed_record(record_id, run_id) if reveal else views.quarantined_record(record_id, run_id)
            ),
        )
    )
    if record is None:
        where = f" of run {run_id}" if run_id else ""
        raise ConfigurationError(f"No record {record_id!r}{where} is in quarantine. See: loom quarantine list")
    if form is Format.JSON:
        terminal.print_json(record.as_json())
    else:
        kept_record.print_record(record.as_json(), terminal.stdout())


@app.command("export")
@grouped
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A .jsonl or .csv file; `-` for JSON Lines on stdout.")],
    *,
    which: Which,
    common: Common,
) -> None:
    """Write records to a file, with everything that is kept of them."""
    from loom.cli.commands import follow, state
    from loom.cli.output import export as output_export
    from loom.cli.output import terminal

    settings = common.configuration()
    meant = _chosen(settings, which)
    follow.wait_for(state.refuse_other(settings, meant.run_id, meant.pipeline))
    number = follow.wait_for(
        state.ask(settings, lambda views: output_export.write(file, views.quarantined_whole(meant)))
    )
    records = counted(number, "record")
    terminal.say(f"{records} exported." if str(file) == "-" else f"{records} written to {file}.")


@app.command("retry")
@grouped
def retry(
    run_id: TheRun,
    prompt: Annotated[
        Path | None,
        typer.Option("--prompt", metavar="FILE", exists=True, dir_okay=False, help="With the prompt of this file."),
    ] = None,
    model: Annotated[str | None, typer.Option("--model", metavar="MODEL", help="With this model.")] = None,
    step: Annotated[
        str | None,
        typer.Option("--step", metavar="NAME", help="The step that --prompt and --model are for, of several."),
    ] = None,
    threshold: Annotated[
        list[str] | None,
        typer.Option(
            "--threshold",
            metavar="NAME=X",
            help="With this threshold for an evaluator, or, of a weighted gate, for `gate`. Repeatable.",
        ),
    ] = None,
    edit: Annotated[
        list[str] | None,
        typer.Option("--edit", metavar="FIELD=VALUE", help="With this value in an input field. Repeatable."),
    ] = None,
    form: Form = Format.TABLE,
    *,
    which: OfOneRun,
    common: WithFiles,
) -> None:
    """Run a run's quarantined records through its pipeline again, as a run of its own: as they were, or changed.

    What gets through is resolved: as `reprocessed`, or, with --edit, as `manual_fix`. What is resolved is not run
    again."""
    from loom.cli.commands import follow, quarantine_retry, state

    settings = common.configuration()
    run_id = follow.wait_for(state.named_run(settings, run_id))
    changes = _changes(prompt, model, step, threshold or [], edit or [])
    code = follow.wait_for(quarantine_retry.carry_out(settings, which.of(run_id), changes, form, common))
    raise typer.Exit(code)


@app.command("discard")
@grouped
def discard(
    run_id: TheRun,
    every: Annotated[bool, typer.Option("--all", help="All of the run that still wait.")] = False,
    *,
    which: OfOneRun,
    common: Common,
) -> None:
    """Give up records: they stay readable, count as resolved (`discarded`), and are not retried."""
    from loom.cli.commands import follow, state
    from loom.cli.output import terminal

    if not every and which.everything:
        raise typer.BadParameter("say which records, e.g. --record-ids or --reason; or --all", param_hint="RUN")
    settings = common.configuration()
    run_id = follow.wait_for(state.named_run(settings, run_id))
    meant = which.waiting_of(run_id)
    names = _names(settings, meant, common.flags)
    follow.wait_for(follow.discard(settings, run_id, names, verbose=common.verbose))
    terminal.say(f"{counted(len(names), 'record')} of {run_id} {'is' if len(names) == 1 else 'are'} discarded.")


@app.command("stats")
@grouped
def stats(
    pipeline: OfPipeline = None,
    run_id: OfRun = None,
    form: Form = Format.TABLE,
    *,
    common: Common,
) -> None:
    """Count records by pipeline, stage and cause: how many wait, and what became of the others."""
    from loom.cli.commands import follow, state
    from loom.cli.output import terminal
    from loom.cli.output.tables import Column, print_rows
    from loom_quarantine.queries import RecordFilter

    settings = common.configuration()
    run_id = None if run_id is None else follow.wait_for(state.named_run(settings, run_id))
    meant = RecordFilter(pipeline=pipeline, run_id=run_id)
    follow.wait_for(state.refuse_other(settings, run_id, pipeline))
    rows = follow.wait_for(state.ask(settings, lambda views: views.quarantine_stats(meant)))
    numbers = ("records", "unresolved", "reprocessed", "manual_fix", "discarded")
    less = numbers[2:]
    columns = [
        Column("pipeline_name", "pipeline", keep=True),
        Column("failure_stage", "stage", keep=True),
        Column("code", "cause", keep=True),
        Column("outcome", "outcome", keep=True),
        *(
            Column(name, name.replace("_", " "), terminal.count, number=True, keep=True, optional=name in less)
            for name in numbers
        ),
        Column("newest", "newest (UTC)", terminal.moment, keep=True, optional=True),
    ]
    print_rows(rows, columns, form, _none(meant))


def _chosen(config: LoomConfig, which: Which) -> RecordFilter:
    """Return the filter that the options mean, with the id of the newest run for `latest`."""
    from loom.cli.commands import follow, state

    meant = which.chosen()
    if meant.run_id != state.LATEST:
        return meant
    return replace(meant, run_id=follow.wait_for(state.newest_run(config)))


def _none(meant: RecordFilter) -> str:
    """Say that no record is listed."""
    from loom_quarantine.queries import RecordFilter

    everything = meant == RecordFilter()
    return "No record is in quarantine." if everything else "No record in quarantine is one of those asked for."


def _changes(
    prompt: Path | None, model: str | None, step: str | None, thresholds: list[str], edits: list[str]
) -> Changes | None:
    from loom.project import yaml_positions
    from loom_common.domain.run.replaying import Changes

    changes = Changes(
        prompt=None if prompt is None else yaml_positions.read_text(prompt, str(prompt)),
        model=model,
        step=step,
        thresholds={name: _number(value) for name, value in pairs_of(thresholds, "--threshold").items()},
        edits=pairs_of(edits, "--edit"),
    )
    return None if changes == Changes() else changes


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"'{text}' is no number", param_hint="--threshold") from None


def _names(config: LoomConfig, meant: RecordFilter, flags: str) -> tuple[str, ...]:
    """Return the ids of the records chosen. Raises `ConfigurationError` where there are none."""
    from loom.cli.commands import follow, state

    names = follow.wait_for(state.ask(config, lambda views: views.quarantined_ids(meant)))
    if not names:
        raise follow.wait_for(state.no_record(config, meant, flags))
    return names
