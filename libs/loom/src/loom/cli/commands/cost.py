"""Implements `loom cost`, which shows what runs cost, and what one would cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loom.cli.options.common import Form, ForTarget
from loom.cli.options.groups import grouped
from loom.cli.output.formats import Format
from loom_common.domain.values.plural import counted

if TYPE_CHECKING:
    from loom.preflight.estimate import Estimate
    from loom.project.config import LoomConfig
    from loom_common.contracts.v1 import StageCalls


class Span(StrEnum):
    """Lists the values of `--aggregate-by`."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


_REASONS = 5
"""Reasons for which records were left out that are shown."""


@grouped
def cost(
    pipeline: Annotated[str, typer.Argument(metavar="PIPELINE|FILE", help="A pipeline's name, or its file.")],
    run_id: Annotated[str | None, typer.Option("--run-id", metavar="RUN", help="Only this run, in detail.")] = None,
    aggregate_by: Annotated[Span, typer.Option("--aggregate-by", help="Add up by day, week or month.")] = Span.DAY,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Estimate what a run would cost. Asks no model.")
    ] = False,
    sample: Annotated[
        int, typer.Option("--sample", metavar="N", min=1, help="With --estimate: render the first N records.")
    ] = 100,
    param: Annotated[
        list[str] | None, typer.Option("--param", metavar="KEY=VALUE", help="With --estimate: set a parameter.")
    ] = None,
    form: Form = Format.TABLE,
    *,
    common: ForTarget,
) -> None:
    """Show what a pipeline's runs cost, or estimate what one would.

    Money stands on the day (UTC) it was spent, runs and records on the day they ended."""
    from loom.cli.commands import follow

    settings = common.configuration(pipeline)
    if estimate:
        follow.log_on_stderr(settings, verbose=common.verbose)
        follow.wait_for(_estimate(pipeline, settings, sample, param or [], form))
    elif run_id is not None:
        follow.wait_for(_run(_name(pipeline, settings), run_id, settings, form))
    else:
        follow.wait_for(_spans(_name(pipeline, settings), aggregate_by, settings, form))


async def _spans(pipeline: str, span: Span, config: LoomConfig, form: Format) -> None:
    from loom.cli.commands import state
    from loom.cli.output import terminal
    from loom.cli.output.tables import Column, print_rows
    from loom_coordinator.queries.costs.spans import CostSpan, total

    rows = await state.ask(config, lambda views: views.costs(pipeline, span))
    in_all = total(rows)
    if form is Format.JSON:
        spans = [row.as_json() for row in rows]
        terminal.print_json(
            {"pipeline": pipeline, "aggregated_by": span.value, "total": in_all.as_json(), "spans": spans}
        )
        return
    columns = [
        Column("span", span.value, keep=True),
        Column("runs", "runs", terminal.count, number=True),
        Column("records", "records", terminal.count, number=True),
        Column("made", "calls", terminal.count, number=True),
        Column("tokens_in", "tokens in", terminal.count, number=True),
        Column("tokens_out", "tokens out", terminal.count, number=True),
        Column("cost", "cost", terminal.money, number=True, keep=True),
        Column("cost_by_stage", "by stage", _shares, optional=True),
        Column("cost_by_model", "by model", _shares, optional=True),
    ]
    shown = [*rows, CostSpan(span="total", **in_all.as_json())] if len(rows) > 1 else rows
    print_rows(shown, columns, form, f"No run of '{pipeline}' is known here.")


async def _run(pipeline: str, run_id: str, config: LoomConfig, form: Format) -> None:
    from loom.cli.commands import state
    from loom.cli.output import terminal

    await state.refuse_other(config, run_id, pipeline)
    run = await state.ask(config, lambda views: views.run(run_id))
    assert run is not None
    names = ("run_id", "pipeline", "status", "cost", "spending", "budget", "estimate")
    if form is Format.JSON:
        document = run.as_json()
        terminal.print_json({name: document[name] for name in names})
        return
    _print_calls(run.report.spending, "This run asked no model.")
    for line in _notes(run.as_json()):
        terminal.stdout().print(line, markup=False)


def _notes(run: Mapping[str, Any]) -> list[str]:
    from loom.cli.output.report import of_budget, of_estimate

    estimate = of_estimate(run.get("estimate"))
    return [line for line in (of_budget(run.get("budget")), estimate and f"estimated before: {estimate}") if line]


async def _estimate(target: str, config: LoomConfig, sample: int, params: list[str], form: Format) -> None:
    from loom.cli.commands.run import params_of
    from loom.cli.output import terminal
    from loom.project import catalog
    from loom.requests.estimates import estimated
    from loom_common.errors import ConfigurationError

    loaded = catalog.find(target, config)
    if isinstance(loaded, str):
        raise ConfigurationError(f"'{target}' is known by its name alone: give its file to estimate it.")
    made = await estimated(loaded, config, sample, params_of(params))
    if form is Format.JSON:
        terminal.print_json(made.document())
    else:
        _print_estimate(made)


def _print_estimate(made: Estimate) -> None:
    from loom.cli.output import terminal
    from loom.preflight.model_calls.batch_execution import in_words
    from loom_common.flow import Stage

    _print_calls(made.calls, "This pipeline asks no model: it costs nothing.")
    if made.steps:
        from loom.cli.output import step_counts

        terminal.stdout().print(step_counts.of_estimate(made.steps))
    records, sampled = counted(made.records, "record"), terminal.count(made.sampled)
    transform, evaluate = (terminal.money(made.cost_of(stage)) for stage in (Stage.TRANSFORM, Stage.EVALUATE))
    source = "in earlier runs" if made.learned else "made-up ones of the same shape: no earlier run tells"
    lines = [
        f"{made.pipeline}: {records}, estimated from the first {sampled}",
        f"estimated cost {terminal.money(made.cost)}  (transform {transform}, evaluate {evaluate})",
        f"answers are taken to be as long as {source}",
    ]
    lines += [in_words(each) for each in made.batches]
    if made.budget is not None:
        share = f"{made.cost / made.budget:.0%} of the budget of {terminal.money(made.budget)}"
        enough = terminal.money(made.enough)
        words = (
            f"which bears it: {enough} would"
            if made.enough <= made.budget
            else f"which may not bear it: {enough} would"
        )
        lines.append(f"{share}, {words}, with room for the last call at its worst")
    lines += [
        f"not estimated: {counted(each.records, 'record')} of these {sampled}, for {each.stage} failed: {each.reason}"
        for each in made.unasked[:_REASONS]
    ]
    lines += [f"no price is known for {model}: its calls count as $0. Say it in `prices`." for model in made.unpriced]
    for line in lines:
        terminal.stdout().print(line, markup=False, soft_wrap=True)


def _print_calls(calls: Sequence[StageCalls], empty: str) -> None:
    from loom.cli.output import terminal
    from loom.cli.output.tables import Column, print_rows

    columns = [
        Column("stage", "stage", keep=True),
        Column("purpose", "purpose", keep=True),
        Column("provider", "provider"),
        Column("model", "model"),
        Column("made", "calls", terminal.count, number=True),
        Column("reused", "reused", terminal.count, number=True, optional=True),
        Column("tokens_in", "tokens in", terminal.count, number=True),
        Column("tokens_cached", "cached", terminal.count, number=True, optional=True),
        Column("tokens_out", "tokens out", terminal.count, number=True),
        Column("cost", "cost", terminal.money, number=True, keep=True),
    ]
    print_rows(calls, columns, Format.TABLE, empty)


def _shares(shares: Mapping[str, float] | None) -> str:
    from loom.cli.output import terminal

    return "-" if not shares else ", ".join(f"{name} {terminal.money(usd)}" for name, usd in sorted(shares.items()))


def _name(target: str, config: LoomConfig) -> str:
    """Return the pipeline's name, also where its file is given."""
    from loom.project import catalog

    if Path(target).suffix not in (".yaml", ".yml"):
        return target
    found = catalog.find(target, config)
    return found if isinstance(found, str) else found.pipeline.name
