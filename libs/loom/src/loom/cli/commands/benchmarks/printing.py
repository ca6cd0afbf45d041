"""Prints a benchmark on the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from loom.benchmarks.calibrating import Calibration
from loom.benchmarks.cascades.choosing import ChosenCascade
from loom.benchmarks.figures.computed import Figure
from loom.benchmarks.figures.result import Benchmark, Measured
from loom.benchmarks.shown.words import figure, joined_lines, proposal_line, stopped_line, unstated_line
from loom.cli.output import terminal
from loom.cli.output.formats import Format
from loom.cli.output.tables import Column, print_rows
from loom_common.domain.checks.cascade_file import TRANSFORM

_FAILURES = 5


def show(found: Benchmark) -> None:
    """Print all tables of a benchmark, with the sentences about what was left out on stderr."""
    for line in joined_lines(found.joined):
        terminal.say(line)
    _print_table(_overview(found), _overview_columns(found))
    if len(found.candidates) == 1:
        _detail(found.candidates[0])
    for each in found.candidates:
        if (proposal := proposal_line(each)) is not None:
            terminal.stdout().print(proposal, markup=False, highlight=False, soft_wrap=True)
        if (unstated := unstated_line(each)) is not None:
            terminal.say(unstated)
        if (stopped := stopped_line(each)) is not None:
            terminal.say(stopped)
        for reason, number in sorted(each.failures.items(), key=lambda pair: -pair[1])[:_FAILURES]:
            terminal.say(f"{each.name}: no answer for {number:,}: {reason}")


def show_calibration(found: Benchmark, made: Calibration) -> None:
    """Print what a calibration came to, before and after."""
    for line in joined_lines(found.joined):
        terminal.say(line)
    rows = [
        {
            "name": name,
            "records": each.records,
            "ece": figure(each.ece),
            "brier": figure(each.brier),
            "stated": each.mean_confidence,
            "true": each.accuracy,
        }
        for name, each in (("before", made.before), ("after", made.after))
    ]
    columns = [
        Column("name", made.of, keep=True),
        Column("records", "records", terminal.count, number=True),
        Column("ece", "ECE", keep=True),
        Column("brier", "Brier score"),
        Column("stated", "stated", lambda value: f"{value:.3f}", number=True),
        Column("true", "came true", lambda value: f"{value:.3f}", number=True),
    ]
    _print_table(rows, columns)
    terminal.say(f"Measured by {made.validation}.")
    terminal.say(
        f"Written: {terminal.place(made.file)}, version {made.version} ({made.hash}), {made.method}. A pipeline names "
        "it with `calibration`, in its transform or evaluator, as a path from its own folder."
    )


def _overview(found: Benchmark) -> list[dict[str, object]]:
    return [_line(each, several=len(found.candidates) > 1) for each in found.candidates]


def _line(each: Measured, *, several: bool) -> dict[str, object]:
    line: dict[str, object] = {
        "name": each.name,
        "records": each.records,
        "answered": each.answered,
        "auc": each.area_under_curve,
        "gain": _of(each.gain),
        "per_thousand": each.price.per_thousand,
        "judging": each.price.judging_per_thousand,
        "p50": each.latency.get("p50"),
        "p95": each.latency.get("p95"),
        "frontier": "yes" if each.on_frontier and several else None,
        **dict.fromkeys(("accuracy", "macro_f1", "kappa", "mae", "rank", "ece")),
    }
    if each.classes is not None:
        line |= {name: _of(getattr(each.classes, name)) for name in ("accuracy", "macro_f1", "kappa")}
    if each.numbers is not None:
        line |= {"mae": _of(each.numbers.mae), "rank": _of(each.numbers.rank_correlation)}
    if each.confidence is not None:
        line["ece"] = _of(each.confidence.ece)
    return line


def _of(value: Figure | None) -> str | None:
    return None if value is None or value.value is None else figure(value)


def _overview_columns(found: Benchmark) -> list[Column]:
    several = len(found.candidates) > 1
    columns = [
        Column("name", "candidate" if found.kind != "verdicts" else "evaluator", keep=True),
        Column("records", "records", terminal.count, number=True),
        Column("answered", "answered", terminal.count, number=True),
    ]
    if found.kind == "numbers":
        columns += [Column("mae", "MAE", keep=True), Column("rank", "rank corr.", keep=True)]
    else:
        columns += [Column("accuracy", "accuracy", keep=True), Column("macro_f1", "macro F1")]
    if found.kind == "verdicts":
        columns += [Column("kappa", "kappa"), Column("auc", "AUC", lambda value: f"{value:.3f}", number=True)]
    columns += [Column("ece", "ECE")] if found.kind != "numbers" else []
    columns += [Column("gain", "over the first")] if several and found.kind == "classes" else []
    price = "judging" if found.kind == "verdicts" else "per_thousand"
    columns += [
        Column(price, "per 1,000", terminal.money, number=True, optional=True),
        Column("p50", "p50", terminal.latency, number=True, optional=True),
        Column("p95", "p95", terminal.latency, number=True, optional=True),
    ]
    return [*columns, Column("frontier", "frontier")] if several and found.kind != "verdicts" else columns


def _detail(each: Measured) -> None:
    if each.classes is not None:
        rows = [
            {
                "label": one.label,
                "precision": _of(one.precision),
                "recall": _of(one.recall),
                "f1": _of(one.f1),
                "support": one.support,
                "predicted": one.predicted,
            }
            for one in each.classes.classes
        ]
        columns = [
            Column("label", "class", keep=True),
            Column("precision", "precision"),
            Column("recall", "recall"),
            Column("f1", "F1"),
            Column("support", "labelled", terminal.count, number=True),
            Column("predicted", "predicted", terminal.count, number=True),
        ]
        _print_table(rows, columns)
        names = each.classes.columns
        matrix = [
            {"true": name, **dict(zip(names, row, strict=True))}
            for name, row in zip(names, each.classes.confusion, strict=True)
            if any(row)
        ]
        _print_table(
            matrix,
            [
                Column("true", "label \\ predicted", keep=True),
                *(Column(name, name, terminal.count, number=True) for name in names),
            ],
        )
    if each.evaluators:
        scored = [{"name": name, **figures} for name, figures in each.evaluators.items()]
        columns = [
            Column("name", "evaluator", keep=True),
            Column("mean", "mean", lambda value: f"{value:.3f}", number=True),
            Column("pass_rate", "passed", lambda value: f"{value:.1%}", number=True),
        ]
        _print_table(scored, columns)
    for line in _lines(each):
        terminal.stdout().print(line, markup=False, highlight=False, soft_wrap=True)


def _lines(each: Measured) -> Iterator[str]:
    if each.confidence is not None:
        stated = each.confidence
        yield (
            f"confidence  {stated.mean_confidence:.3f} on average, {stated.accuracy:.3f} came true; "
            f"ECE {figure(stated.ece)}, Brier score {figure(stated.brier)}"
        )
    price = each.price
    yield f"paid        {terminal.money(price.paid)}; {price.calls:,} calls, {price.reused:,} answers from the journal"


def _print_table(rows: Sequence[object], columns: Sequence[Column]) -> None:
    if not rows:
        return
    print_rows(rows, columns, Format.TABLE, "There is nothing to show.")
    terminal.stdout().print()


def show_cascade(made: ChosenCascade) -> None:
    """Print the thresholds that were chosen, and what they come to."""
    where = f"where the score of {made.cheap} is from {made.low:g} to below {made.high:g}"
    if made.of == TRANSFORM:
        where = f"where {made.cheap} is less than {made.high:g} sure"
    if made.asked == made.records:
        where = f"always: no threshold saves a call ({where})"
    right, alone = (f"{number / made.records:.1%}" for number in (made.right, made.dear_right))
    lines = [
        f"{made.dear} is asked {where}",
        f"asked       about {made.asked:,} of {made.records:,} records ({made.asked / made.records:.1%})",
        f"right       {right}; {made.dear} alone: {alone}",
        f"promise     {made.promise}",
        f"paid        {terminal.money(made.cost)}",
    ]
    if made.without_label:
        lines.append(f"left out    {made.without_label:,} records that {made.dear} gave no output for")
    for line in lines:
        terminal.stdout().print(line, markup=False, highlight=False, soft_wrap=True)
    version = f"version {made.version}, {made.hash}"
    terminal.say(f"Written: {terminal.place(made.file)} ({version}). Name it in `cascade.file`.")
