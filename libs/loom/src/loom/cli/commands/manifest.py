"""Implements `loom manifest`, which shows for an audit what each run did and who asked for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loom.cli.options.common import Common, Form
from loom.cli.options.groups import grouped
from loom.cli.output.formats import Format
from loom_common.domain.run.statuses import ShownStatus

if TYPE_CHECKING:
    from loom_coordinator.queries.runs import ShownRun


@grouped
def manifest(
    pipeline: Annotated[
        str | None, typer.Argument(metavar="[PIPELINE]", help="The pipeline's name. Without it, all are shown.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Show every run, in place of the newest.")] = False,
    status: Annotated[ShownStatus | None, typer.Option("--status", help="Only runs that have this status.")] = None,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, max=1_000_000_000, help="At most so many, newest first.")
    ] = 10,
    form: Form = Format.TABLE,
    *,
    common: Common,
) -> None:
    """Show what each run did, for an audit.

    Who asked for it, what was found before it began, counts, duration, errors, changes of the schema, quality checks.
    With `--format json`, each run has its whole report, its parameters, its model, and each check and column that were
    looked at before. A run of a cluster has none of these: its workers look when they begin."""
    from loom.cli.commands import follow, state
    from loom.cli.output import terminal
    from loom.cli.output.tables import Column, print_rows

    settings = common.configuration()
    most = None if every else limit
    # One more than is shown tells whether there are more.
    wanted = None if most is None else most + 1
    found = follow.wait_for(
        state.ask(settings, lambda views: views.manifest(pipeline, status.value if status else None, wanted))
    )
    rows = found[:most]
    columns = [
        Column("run_id", "run", keep=True),
        *([] if pipeline else [Column("pipeline", "pipeline", keep=True)]),
        Column("status", "status", keep=True),
        Column("requested_by", "asked by", optional=True),
        Column("preflight", "before", optional=True),
        Column("started_at", "started (UTC)", terminal.moment, keep=True),
        Column("duration_seconds", "took", terminal.duration, number=True, optional=True),
        Column("extracted", "read", terminal.count, number=True, optional=True),
        Column("loaded", "loaded", terminal.count, number=True, optional=True),
        Column("kept", "kept back", terminal.count, number=True, optional=True),
        Column("drift", "schema", keep=True, optional=True),
        Column("checks", "checks", keep=True, optional=True),
        *([Column("error", "error", optional=True)] if any(run.report.error for run in rows) else []),
    ]
    what = " ".join(["No run", *([f"of '{pipeline}'"] if pipeline else []), *([f"that is {status}"] if status else [])])
    shown = rows if form is Format.JSON else [_line(run) for run in rows]
    print_rows(shown, columns, form, f"{what} is known here.")
    if len(found) > len(rows):
        terminal.say(f"The newest {len(rows):,} are shown; `--all` shows every run.")


def _line(run: ShownRun) -> dict[str, Any]:
    report = run.report
    changes = sum(len(each.changes) for each in report.drift)
    missed = [check for check in report.checks if check.outcome != "passed"]
    return {
        "run_id": report.run_id,
        "pipeline": report.pipeline,
        "status": run.status,
        "requested_by": run.requested_by,
        "preflight": _found(run.preflight),
        "started_at": run.started_at.isoformat(),
        "duration_seconds": report.duration_seconds if run.completed_at else None,
        "extracted": report.records.get("extracted"),
        "loaded": report.records.get("loaded"),
        "kept": sum(report.records.get(name, 0) for name in ("rejected", "quarantined", "skipped")),
        "drift": f"{changes} changed" if changes else "-",
        "checks": f"{len(missed)} of {len(report.checks)} missed" if missed else _passed(len(report.checks)),
        "error": report.error,
    }


def _found(preflight: Mapping[str, Any] | None) -> str:
    """Say how many of the things that were looked at before the run were ready, may be mistakes, or were not ready."""
    if preflight is None:
        return "-"
    counts = Counter(
        "doubtful" if check["doubtful"] else "ready" if check["ok"] else "not ready" for check in preflight["checks"]
    )
    return ", ".join(f"{counts[word]} {word}" for word in ("ready", "doubtful", "not ready") if counts[word])


def _passed(number: int) -> str:
    return f"{number} passed" if number else "-"
