"""Shows what each of several runs came to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loom.cli.commands.follow import EXIT_CODES
from loom.cli.output import terminal
from loom_common.console.tables import Column, RowTable
from loom_common.domain.json_values.shown import Shown
from loom_common.errors import LoomError

if TYPE_CHECKING:
    from loom.cli.commands.follow import Outcome

GONE_WRONG = 1
"""The exit code where one of several runs was refused, or not begun."""


@dataclass(frozen=True, slots=True)
class RunEnd(Shown):
    """Says what became of one of several runs."""

    name: str
    """The pipeline, or the partition."""
    status: str
    """Says how the run ended: `succeeded`, `partial`, `failed` or `cancelled`; or else `paused`, `refused` where it
    could not begin, or `not run`."""
    exit_code: int
    run_id: str | None = None
    loaded: int | None = None
    cost: float | None = None
    seconds: float | None = None
    why: str | None = None
    """Says why it did not succeed, where that is known."""


def end_of(name: str, outcome: Outcome) -> RunEnd:
    """Return what became of a run that was begun."""
    report = outcome.report
    if report is None:
        so_far, remedy = outcome.so_far, f"loom resume {outcome.run_id}"
        loaded, cost = (so_far.records.get("loaded"), so_far.cost.get("total")) if so_far else (None, None)
        return RunEnd(name, "paused", outcome.code, outcome.run_id, loaded, cost, why=remedy)
    beyond = "beyond a limit" if outcome.code not in EXIT_CODES.values() else None
    return RunEnd(
        name,
        report.status,
        outcome.code,
        outcome.run_id,
        report.records.get("loaded"),
        report.cost.get("total"),
        report.duration_seconds,
        report.error or beyond,
    )


def trouble_of(error: LoomError | ExceptionGroup[Exception]) -> LoomError:
    """Return the error that kept a run from beginning; of several that arrived together, the first. Raises what has
    errors of other kinds, which are defects."""
    if isinstance(error, LoomError):
        return error
    known, other = error.split(LoomError)
    if known is None or other is not None:
        raise error
    first = known.exceptions[0]
    return trouble_of(first)


def exit_code_of(ends: Sequence[RunEnd]) -> int:
    """Return 0 where all have succeeded, else the code of the first that has not."""
    return next((each.exit_code for each in ends if each.exit_code), 0)


def print_ends(ends: Sequence[RunEnd], title: str) -> None:
    """Print a line for each run on stdout."""
    columns = [
        Column("name", title, keep=True),
        Column("status", "status", keep=True),
        Column("run_id", "run", keep=True),
        Column("loaded", "loaded", terminal.count, number=True),
        Column("cost", "cost", terminal.money, number=True),
        Column("seconds", "took", terminal.duration, number=True),
        *([Column("why", "why")] if any(each.why for each in ends) else []),
    ]
    terminal.stdout().print(RowTable(ends, columns), soft_wrap=True)
