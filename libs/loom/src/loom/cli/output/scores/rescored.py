"""Prints what scoring the outputs of a run again comes to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from loom.cli.output import terminal
from loom.cli.output.formats import Format
from loom.cli.output.tables import Column, print_rows
from loom.rescoring.report import Rescored
from loom_common.domain.values.plural import counted

_VERDICTS = (("passed", "passed"), ("rejected", "rejected"), ("error", "errors"))


def print_rescored(made: Rescored, flags: str, most: int) -> None:
    """Print what other evaluators made of a run as tables and sentences. At most so many changed records are in it."""
    screen = terminal.stdout()
    judged = sum(made.verdicts.values())
    screen.print(f"{made.run_id} of {made.pipeline}: {counted(judged, 'record')} judged again", markup=False)
    screen.print()
    rows = [{"when": "before", **made.verdicts_before}, {"when": "now", **made.verdicts}]
    columns = [Column(name, words, terminal.count, number=True, keep=True) for name, words in _VERDICTS]
    print_rows(rows, [Column("when", "verdicts", keep=True), *columns], Format.TABLE, "")
    screen.print()
    evaluators = [
        Column("evaluator", "evaluator", keep=True),
        Column("records", "records", terminal.count, number=True),
        Column("mean_before", "mean before", _score, number=True),
        Column("mean", "mean", _score, number=True, keep=True),
        Column("threshold", "threshold", _plain, number=True),
        Column("passed", "reach it", terminal.count, number=True),
    ]
    print_rows(made.evaluators, evaluators, Format.TABLE, "")
    screen.print()
    for line in lines(made, flags):
        screen.print(line, markup=False, soft_wrap=True)
    if made.changed:
        screen.print()
        shown = [{**each.as_json(), "verdict": f"{each.before} -> {each.after}"} for each in made.changed]
        changed = [
            Column("record_id", "record", keep=True),
            Column("verdict", "verdict", keep=True),
            Column("scores_before", "scores before", _scores),
            Column("scores", "scores", _scores),
            Column("reason", "reason"),
        ]
        print_rows(shown, changed, Format.TABLE, "")
        if len(made.changed) == most:
            terminal.say(f"The first {most} are shown; `--format json` has all.")


def lines(made: Rescored, flags: str) -> Iterator[str]:
    """Yield what is to be said besides. Pure."""
    if made.pass_now or made.fail_now:
        pass_now, fail_now = counted(made.pass_now, "record"), counted(made.fail_now, "record")
        yield f"{pass_now} that did not pass would pass now; {fail_now} that passed would not."
    else:
        yield "No record changes side."
    reused = f"{counted(made.calls_reused, 'answer')} came from the journal"
    yield f"New judgements: {counted(made.calls_made, 'call')}, {terminal.money(made.cost)}; {reused}."
    if made.gone:
        yield f"Not judged, because their output is no longer to be had: {counted(made.gone, 'loaded record')}."
        for record_id, reason in made.gone_because.items():
            yield f"  {record_id}: {reason}"
    for how, number in made.settled.items():
        words = "discarded" if how == "discarded" else f"loaded by a replay ({how})"
        yield f"Not judged, because they were {words}: {counted(number, 'record')}."
    if made.new:
        yield f"Not judged, because the run had not let them through: {counted(made.new, 'record')} of the source."
    if made.applied:
        yield from _applied(made.applied, flags)


def _applied(applied: Mapping[str, Any], flags: str) -> Iterator[str]:
    begun = "An earlier --apply was interrupted, and is finished now" if applied["finished_earlier"] else "Applied"
    loaded, withdrawn = counted(applied["loaded"], "record"), counted(applied["withdrawn"], "record")
    yield f"{begun}: {loaded} loaded, {withdrawn} withdrawn."
    if applied["replay_run_id"]:
        yield f"  loom status {applied['replay_run_id']}{flags}"


def _score(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _plain(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"


def _scores(scores: Mapping[str, float] | None) -> str:
    return "-" if not scores else ", ".join(f"{name} {value:.2f}" for name, value in sorted(scores.items()))
