"""Implements `loom metrics`, which shows what the runs of a pipeline come to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from loom.cli.options.common import Common, Form
from loom.cli.options.groups import grouped
from loom.cli.output.formats import Format

if TYPE_CHECKING:
    from loom_coordinator.queries.pipeline_figures import PipelineFigures

_NEWEST = 100


@grouped
def metrics(
    pipeline: Annotated[str, typer.Argument(metavar="PIPELINE", help="The pipeline's name.")],
    run_id: Annotated[str | None, typer.Option("--run-id", metavar="RUN", help="Only this run.")] = None,
    last: Annotated[
        int, typer.Option("--last", metavar="N", min=1, max=1000, help="Add up the newest N runs.")
    ] = _NEWEST,
    form: Form = Format.TABLE,
    *,
    common: Common,
) -> None:
    """Show what a pipeline's runs come to: records, latency, scores and cost.

    The newest runs are added up, those that have not ended as far as they have come."""
    from loom.cli.commands import follow, state
    from loom.cli.output import terminal
    from loom_common.errors import ConfigurationError

    settings = common.configuration()
    follow.wait_for(state.refuse_other(settings, run_id, pipeline))
    figures = follow.wait_for(state.ask(settings, lambda views: views.metrics(pipeline, run_id, last)))
    if figures is None:
        raise ConfigurationError(
            f"No run of '{pipeline}' is known here. `loom history` lists the runs of all pipelines."
        )
    if form is Format.JSON:
        terminal.print_json(figures.as_json())
    else:
        _print(figures)


def _print(figures: PipelineFigures) -> None:
    from loom.cli.output import terminal
    from loom.cli.output.tables import Column, print_rows
    from loom_common.domain.values.plural import counted

    for line in lines(figures):
        terminal.stdout().print(line, markup=False, soft_wrap=True)
    if not figures.evaluators:
        return
    columns = [
        Column("evaluator", "evaluator", keep=True),
        Column("records", "records", terminal.count, number=True),
        Column("mean_score", "mean", _score, number=True, keep=True),
        Column("min_score", "min", _score, number=True),
        Column("max_score", "max", _score, number=True),
        Column("pass_rate", "passed", _share, number=True, keep=True),
    ]
    rows = [{"evaluator": name, **each.as_json()} for name, each in figures.evaluators.items()]
    print_rows(rows, columns, Format.TABLE, counted(0, "score"))


def lines(figures: PipelineFigures) -> list[str]:
    """Return the figures in words, those that there are."""
    from loom.cli.output import terminal
    from loom_common.domain.values.plural import counted

    statuses = ", ".join(f"{number} {status}" for status, number in sorted(figures.statuses.items()))
    records = ", ".join(f"{terminal.count(number)} {name}" for name, number in figures.records.items() if number)
    latency = ", ".join(f"{name} {each:.3g} s" for name, each in figures.latency.items() if each is not None)
    per_record = "" if figures.cost_per_record is None else f", {terminal.money(figures.cost_per_record)} a record"
    lines = [
        f"{figures.pipeline}: {counted(len(figures.runs), 'run')} ({statuses})",
        f"records   {records or '0'}",
    ]
    if figures.success_rate is not None:
        lines.append(f"success   {figures.success_rate:.0%} of the runs that ended")
    if figures.duration_seconds is not None:
        lines.append(f"duration  {terminal.duration(figures.duration_seconds)} on average")
    if latency:
        lines.append(f"latency   {latency}")
    lines.append(
        f"cost      {terminal.money(figures.total_cost)}{per_record}; {counted(figures.calls, 'call')} paid for, "
        f"{terminal.count(figures.calls_reused)} reused"
    )
    if figures.avg_evaluation_score is not None:
        lines.append(f"quality   {figures.avg_evaluation_score:.3f} mean score")
    return lines


def _score(value: float) -> str:
    return f"{value:.3f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"
