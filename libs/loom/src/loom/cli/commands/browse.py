"""Implements `loom list`, `loom status`, `loom history` and `loom lineage`, which read run state and start nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from loom.cli.options.common import Common, Form
from loom.cli.options.groups import grouped
from loom.cli.output.formats import Format

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loom.cli.output.tables import Column
    from loom.project.config import LoomConfig
    from loom_coordinator.queries.lineage import Lineage, ReplayOf, TierCount
    from loom_coordinator.queries.outcomes.spawned_runs import Spawned
    from loom_coordinator.queries.runs import RunSummary

Pipeline = Annotated[str, typer.Argument(metavar="PIPELINE", help="The pipeline's name.")]


@grouped
def list_pipelines(
    form: Form = Format.TABLE,
    *,
    common: Common,
) -> None:
    """List the project's pipelines, and those that have run here."""
    from loom.cli.commands import follow, state
    from loom.cli.output import terminal
    from loom.cli.output.tables import Column, print_rows
    from loom.pipeline_list import pipelines

    settings = common.configuration()
    registered = follow.wait_for(state.ask(settings, lambda views: views.pipelines()))
    rows = pipelines(settings, registered)
    columns = [
        Column("name", "name", keep=True),
        Column("version", "version", keep=True),
        Column("last_status", "last status", keep=True),
        Column("last_started_at", "last run (UTC)", terminal.moment, keep=True),
        Column("file", "file", keep=True, optional=True),
        Column("description", "description", optional=True),
    ]
    print_rows(rows, columns, form, "This project has no pipelines yet: `loom init NAME` makes one.")


@grouped
def status(
    run_id: Annotated[
        str | None,
        typer.Argument(
            metavar="[RUN]",
            help="The id of a run or a stream: `run_` or `stream_` and 12 letters or digits. Without it, the newest "
            "run is shown.",
        ),
    ] = None,
    form: Form = Format.TABLE,
    *,
    common: Common,
) -> None:
    """Show a run: where it stands, or its report. Of a stream, how far it has come, and its newest windows."""
    from loom.cli.commands import follow, state
    from loom.cli.output import report, terminal
    from loom.project.run_state import no_run
    from loom_common.domain.values.ids import STREAM_PREFIX

    settings = common.configuration()
    run_id = follow.wait_for(state.named_run(settings, run_id))
    if run_id.startswith(STREAM_PREFIX):
        from loom.cli.output.streams import standing

        stream = follow.wait_for(state.ask(settings, lambda views: views.shown_stream(run_id)))
        if stream is None:
            raise no_run(settings, run_id)
        standing.show(stream, form)
        return
    run = follow.wait_for(state.ask(settings, lambda views: views.run(run_id)))
    if run is None:
        raise no_run(settings, run_id)
    if form is Format.JSON:
        terminal.print_json(run.as_json())
    else:
        report.print_report(run.as_json(), terminal.stdout(), common.flags)


@grouped
def history(
    pipeline: Annotated[
        str | None, typer.Argument(metavar="[PIPELINE]", help="The pipeline's name. Without it, all are listed.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, max=1_000_000_000, help="At most so many, newest first.")
    ] = 20,
    every: Annotated[
        bool, typer.Option("--all", help="On a cluster: also the runs of pipelines that are not this project's.")
    ] = False,
    form: Form = Format.TABLE,
    *,
    common: Common,
) -> None:
    """List runs, newest first: a pipeline's, or those of all pipelines of the project."""
    from loom.cli.commands import follow, state
    from loom.cli.output import terminal
    from loom.cli.output.tables import Among, Column, print_rows

    settings = common.configuration()
    among = None if every or pipeline else state.meant_pipelines(settings)
    rows = follow.wait_for(state.ask(settings, lambda views: views.history(pipeline, limit, among)))
    total = follow.wait_for(state.ask(settings, lambda views: views.number_of_runs(pipeline, among)))
    columns = [
        Column("run_id", "run", keep=True),
        *([] if pipeline else [Column("pipeline_name", "pipeline", keep=True)]),
        Column("status", "status", keep=True),
        *_target(rows),
        Column("started_at", "started (UTC)", terminal.moment, keep=True),
        Column("duration_seconds", "took", terminal.duration, number=True, keep=True, optional=True),
        Column("records_processed", "records", terminal.count, number=True, optional=True),
        Column("records_validated", "passed", terminal.count, number=True, optional=True),
        Column("records_rejected", "rejected", terminal.count, number=True, optional=True),
        Column("cost_total", "cost", terminal.money, number=True, optional=True),
        *(
            [Column("sample", "sample of", terminal.count, number=True, optional=True)]
            if any(row.sample for row in rows)
            else []
        ),
        *([Column("error_message", "error", optional=True)] if any(row.error_message for row in rows) else []),
    ]
    shown = Among(total, "run", "`--limit N` shows more")
    none = f"No run of '{pipeline}' is known here." if pipeline else state.no_run_yet(settings, among)
    print_rows(rows, columns, form, none, shown)


@grouped
def lineage(
    pipeline: Pipeline,
    run_id: Annotated[str | None, typer.Option("--run-id", metavar="RUN", help="Only this run.")] = None,
    upstream: Annotated[
        bool, typer.Option("--upstream", help="List the pipelines above it instead: those that it depends on.")
    ] = False,
    downstream: Annotated[
        bool, typer.Option("--downstream", help="List the pipelines below it instead: those that depend on it.")
    ] = False,
    form: Form = Format.TABLE,
    *,
    common: Common,
) -> None:
    """Show where records came from and went.

    Source, model and prompt version, counts, destination of each run. With --upstream and --downstream, the pipelines
    of the project before and after it: by `depends_on`, and where one reads exactly what another writes."""
    from loom.cli.commands import follow, state
    from loom.cli.output import terminal
    from loom.cli.output.tables import Among, Column, print_rows

    settings = common.configuration()
    if upstream or downstream:
        if run_id is not None:
            raise typer.BadParameter("it lists runs, and --upstream and --downstream pipelines", param_hint="--run-id")
        _print_related(settings, pipeline, form, upstream=upstream, downstream=downstream)
        return
    follow.wait_for(state.refuse_other(settings, run_id, pipeline))
    rows = follow.wait_for(state.ask(settings, lambda views: views.lineage(pipeline, run_id)))
    total = follow.wait_for(state.ask(settings, lambda views: views.number_of_runs(pipeline)))
    columns = [
        Column("run_id", "run", keep=True),
        *_target(rows),
        *([Column("replay_of", "replay of", keep=True)] if any(row.replay_of for row in rows) else []),
        *([Column("replays", "replayed by", _runs, keep=True)] if any(row.replays for row in rows) else []),
        *([Column("spawned_by", "spawned by", keep=True)] if any(row.spawned_by for row in rows) else []),
        *([Column("spawned", "spawned", _spawned, keep=True)] if any(row.spawned for row in rows) else []),
        Column("input_source", "source", optional=True),
        Column("input_record_count", "read", terminal.count, number=True, keep=True),
        Column("model", "by", optional=True),
        *([Column("answered_by", "answered by", _tiers)] if any(row.answered_by for row in rows) else []),
        Column("prompt_version", "prompt", optional=True),
        Column("output_record_count", "loaded", terminal.count, number=True, keep=True),
        Column("output_destination", "destination", optional=True),
    ]
    among = None if run_id else Among(total, "run", "`--run-id RUN` shows another")
    print_rows(rows, columns, form, f"No run of '{pipeline}' is known here.", among)


def _spawned(runs: Sequence[Spawned]) -> str:
    return ", ".join(f"{each.pipeline} {each.run_id} ({each.status})" for each in runs) or "-"


def _print_related(config: LoomConfig, name: str, form: Format, *, upstream: bool, downstream: bool) -> None:
    """Print the pipelines above and below one. Raises `ConfigurationError` where it is none of the project."""
    from loom.cli.output.tables import Column, print_rows
    from loom.project import catalog, dependencies

    entries = catalog.entries(config)
    if all(entry.name != name for entry in entries):
        found = catalog.find(name, config)
        name = found if isinstance(found, str) else found.pipeline.name
    links = [*dependencies.declared(entries), *dependencies.read_from_each_other(entries, config)]
    directions = [which for which, wanted in (("upstream", upstream), ("downstream", downstream)) if wanted]
    rows = [each for direction in directions for each in dependencies.related(name, links, direction)]
    columns = [
        *([Column("direction", "direction", keep=True)] if len(directions) > 1 else []),
        Column("pipeline", "pipeline", keep=True),
        Column("steps", "steps", number=True, keep=True),
        Column("by", "by", keep=True),
    ]
    print_rows(rows, columns, form, f"No pipeline of this project is {' or '.join(directions)} of '{name}'.")


def _tiers(counts: Sequence[TierCount]) -> str:
    return ", ".join(f"{each.of}: {each.name} {each.records:,}" for each in counts) or "-"


def _target(rows: Sequence[RunSummary | Lineage]) -> list[Column]:
    """Return the column of the targets that runs ran for, where any ran for one."""
    from loom.cli.output.tables import Column

    return [Column("target", "target", keep=True)] if any(row.target for row in rows) else []


def _runs(replays: Sequence[ReplayOf]) -> str:
    return ", ".join(replay.run_id for replay in replays) or "-"
