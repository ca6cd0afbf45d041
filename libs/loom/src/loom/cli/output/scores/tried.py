"""Prints what another prompt came to on some records."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from loom.cli.output import terminal
from loom.cli.output.formats import Format
from loom.cli.output.tables import Column, print_rows
from loom.rescoring.prompt_trial import Tried
from loom_common.domain.values.plural import counted


def price(records: int, cost: float, unpriced: Sequence[str]) -> str:
    """Say what a trial will cost. Pure."""
    words = f"{counted(records, 'record')} will cost about {terminal.money(cost)}, less what the journal answers."
    if unpriced:
        words += f" No price is known for {', '.join(unpriced)}: its calls count as $0."
    return words


def print_tried(made: Tried) -> None:
    """Print what a prompt came to as a table and sentences."""
    rows = [{**each.as_json(), "verdict": f"{each.verdict_before} -> {each.verdict}"} for each in made.tried]
    columns = [
        Column("record_id", "record", keep=True),
        Column("verdict", "verdict", keep=True),
        Column("before", "output before", _compact),
        Column("after", "output by the prompt", _compact),
        Column("reason", "reason", optional=True),
    ]
    print_rows(rows, columns, Format.TABLE, "")
    screen = terminal.stdout()
    screen.print()
    reused = f"{counted(made.calls_reused, 'answer')} came from the journal"
    verdicts = f"{made.passed_before:,} passed before, and {made.passed:,} do by the prompt"
    compared = f"Of {counted(made.records, 'record')}, {made.different:,} have another output; {verdicts}."
    paid = f"Paid: {counted(made.calls_made, 'call')}, {terminal.money(made.cost)}; {reused}. Nothing was loaded."
    for line in (compared, paid):
        screen.print(line, markup=False, soft_wrap=True)


def _compact(output: Mapping[str, Any] | None) -> str:
    return "-" if output is None else json.dumps(output, ensure_ascii=False)
