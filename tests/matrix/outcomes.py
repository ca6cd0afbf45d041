"""Writes the outcomes of faults, as lines of a file and as a table in a document."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

BEGIN, END = "<!-- faults: begin -->", "<!-- faults: end -->"


@dataclass(frozen=True)
class Outcome:
    """Represents the outcome of one attempt."""

    fault: str
    seed: int
    troubles: tuple[str, ...]
    recovery: float
    """The number of seconds from the beginning of the fault to the end of the run."""
    repeated_calls: int | None
    """Model calls beyond one per record; None where the same question is asked twice on purpose."""
    records: int = 0
    exits: int = 0
    """Processes that ended and were restarted."""
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        return not self.troubles


def append(path: Path, outcome: Outcome) -> None:
    with path.open("a") as file:
        file.write(json.dumps(asdict(outcome)) + "\n")


def read(path: Path) -> list[Outcome]:
    lines = path.read_text().splitlines() if path.exists() else []
    found = [json.loads(line) for line in lines]
    return [Outcome(**{**each, "troubles": tuple(each["troubles"]), "notes": tuple(each["notes"])}) for each in found]


def table(outcomes: Iterable[Outcome], order: Iterable[str] = ()) -> str:
    """Return a Markdown table with a line per fault."""
    by_fault: dict[str, list[Outcome]] = {name: [] for name in order}
    for outcome in outcomes:
        by_fault.setdefault(outcome.fault, []).append(outcome)
    lines = [
        "| fault | times tried | runs right | records | repeated model calls | recovery, median s | worst |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    total = passed = records = repeated = 0
    for fault, each in by_fault.items():
        if not each:
            continue
        good = sum(outcome.passed for outcome in each)
        total, passed = total + len(each), passed + good
        there = sum(outcome.records for outcome in each)
        known = [outcome.repeated_calls for outcome in each if outcome.repeated_calls is not None]
        again = str(sum(known)) if known else ""
        records, repeated = records + there, repeated + sum(known)
        seconds = [outcome.recovery for outcome in each]
        lines.append(
            f"| {fault} | {len(each)} | {good} | {there:,} | {again} "
            f"| {statistics.median(seconds):.1f} | {max(seconds):.1f} |"
        )
    lines.append(f"| **all** | **{total}** | **{passed}** | **{records:,}** | **{repeated}** | | |")
    return "\n".join(lines)


def write(path: Path, markdown: str) -> None:
    """Write the table between its markers in a document."""
    text = path.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    path.write_text(f"{before}{BEGIN}\n{markdown}\n{END}{after}", encoding="utf-8")
