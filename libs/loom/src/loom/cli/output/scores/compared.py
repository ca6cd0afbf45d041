"""Prints how two runs differ."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from loom.cli.output import terminal
from loom.cli.output.formats import Format
from loom.cli.output.tables import Column, print_rows
from loom.comparing.diff import Diff
from loom_common.domain.values.plural import counted

_SIGNIFICANT = 0.05


def print_diff(found: Diff) -> None:
    """Print what changed between two runs as tables and sentences."""
    screen = terminal.stdout()
    runs = [
        Column("run_id", "run", keep=True),
        Column("pipeline", "pipeline"),
        Column("version", "version", optional=True),
        Column("model", "model"),
        Column("prompt_version", "prompt", optional=True),
        Column("extracted", "extracted", terminal.count, number=True),
        Column("loaded", "loaded", terminal.count, number=True),
        Column("cost", "cost", terminal.money, number=True, keep=True),
        Column("latency_p50", "p50", _seconds, number=True),
        Column("latency_p95", "p95", _seconds, number=True, optional=True),
    ]
    print_rows([found.before, found.after], runs, Format.TABLE, "")
    screen.print()
    for line in lines(found):
        screen.print(line, markup=False, soft_wrap=True)
    if found.evaluators:
        screen.print()
        evaluators = [
            Column("evaluator", "evaluator", keep=True),
            Column("records", "records", terminal.count, number=True),
            Column("mean_before", "mean before", _score, number=True),
            Column("mean_after", "mean after", _score, number=True),
            Column("better", "better", terminal.count, number=True),
            Column("worse", "worse", terminal.count, number=True),
            Column("p_value", "p", probability, number=True, keep=True),
        ]
        print_rows(found.evaluators, evaluators, Format.TABLE, "")
    if found.outputs["changed"]:
        screen.print()
        columns = [
            Column("record_id", "record", keep=True),
            Column("before", "output before", _compact),
            Column("after", "output after", _compact),
        ]
        print_rows(found.outputs["changed"], columns, Format.TABLE, "")
    if found.changed:
        screen.print()
        columns = [
            Column("record_id", "record", keep=True),
            Column("passed_before", "before", _verdict, keep=True),
            Column("passed_after", "after", _verdict, keep=True),
            Column("scores_before", "scores before", _scores),
            Column("scores_after", "scores after", _scores),
        ]
        print_rows(found.changed, columns, Format.TABLE, "")


def lines(found: Diff) -> Iterator[str]:
    """Yield what is said of the records that both runs have. Pure."""
    outputs = found.outputs
    different = counted(outputs["different"], "output")
    differ = "differs" if outputs["different"] == 1 else "differ"
    yield f"Outputs: of {counted(outputs['both'], 'record')} of both runs, {different} {differ}{_by_field(outputs)}."
    for which, name in (("first", "before"), ("second", "after")):
        if alone := outputs[f"only_{name}"]:
            yield f"  {counted(alone, 'record')} of the {which} run alone."
        if gone := outputs[f"gone_{name}"]:
            yield f"  {counted(gone, 'record')} of the {which} run whose output is no longer to be had."
        if trouble := outputs[f"trouble_{name}"]:
            yield f"  The source of the {which} run cannot be read any more: {trouble}"
    if (verdicts := found.verdicts) is not None:
        yield (
            f"Verdicts: {counted(verdicts.pass_now, 'record')} pass in the second run alone, "
            f"{verdicts.fail_now:,} in the first alone, {verdicts.both_pass:,} in both, {verdicts.neither:,} in neither"
            f"{_significance(verdicts.p_value)}."
        )
    yield f"Cost: {terminal.money(found.before.cost)} before, {terminal.money(found.after.cost)} after."


def _by_field(outputs: Mapping[str, Any]) -> str:
    fields = sorted(outputs["fields"].items(), key=lambda each: (-each[1], each[0]))
    return f" ({', '.join(f'{name} in {number:,}' for name, number in fields)})" if fields else ""


def _significance(p_value: float | None) -> str:
    if p_value is None:
        return ""
    words = "a difference" if p_value < _SIGNIFICANT else "no more than chance would do"
    return f"; p = {probability(p_value)} (McNemar): {words}"


def probability(value: float | None) -> str:
    """Write a p-value with the digits that tell."""
    if value is None:
        return "-"
    return f"{value:.3f}" if value >= 0.001 else f"{value:.1e}"


def _score(value: float) -> str:
    return f"{value:.3f}"


def _seconds(value: float | None) -> str:
    return "-" if value is None else terminal.latency(value)


def _verdict(passed: bool) -> str:  # noqa: FBT001 - a value of a cell
    return "passed" if passed else "rejected"


def _compact(output: Mapping[str, Any]) -> str:
    return json.dumps(output, ensure_ascii=False)


def _scores(scores: Mapping[str, float]) -> str:
    return "-" if not scores else ", ".join(f"{name} {value:.2f}" for name, value in sorted(scores.items()))
