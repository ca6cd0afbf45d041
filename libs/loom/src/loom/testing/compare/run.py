"""Compares a whole run with the expectation of an integration test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from loom.testing.compare.distribution import Comparison
from loom.testing.compare.record import shown
from loom.testing.definition.expectations import IntegrationExpectation
from loom.testing.outcomes import Failure
from loom_common.contracts.v1 import RunReport

_ENDS = ("loaded", "filtered", "unnested", "grouped", "rejected", "quarantined", "skipped", "cancelled")
_LOST = "extracted + derived = loaded + filtered + unnested + grouped + rejected + quarantined + skipped + cancelled"


def compare(
    expected: IntegrationExpectation, report: RunReport, rows: Sequence[Mapping[str, Any]] | None
) -> Comparison:
    """Compare the report of a run, and the rows that its destination holds; None where nobody looked at them. Every
    run that ended must account for its records, whatever else is expected."""
    to = Comparison()
    to.measured["status"] = report.status
    if report.status != expected.status:
        reasons = "; ".join(f"{each.records} at {each.stage}: {each.reason}" for each in report.reasons[:3])
        to.failures.append(Failure("status", expected.status, report.status, report.error or reasons or None))
    counts = report.records
    for name, bounds in expected.records.items():
        to.bound(f"records.{name}", bounds, float(counts.get(name, 0)))
    ended = sum(counts.get(name, 0) for name in _ENDS)
    entered = counts["extracted"] + counts.get("derived", 0)
    if report.status in ("succeeded", "partial") and ended != entered:
        to.failures.append(Failure("records", _LOST, f"{entered} extracted and derived, {ended} accounted for"))
    to.bound("cost", expected.cost, report.cost.get("total", 0.0))
    for which, bounds in expected.latency.items():
        to.bound(f"latency.{which}", bounds, report.latency.get(which))
    to.bound("duration", expected.duration, report.duration_seconds)
    answers = sum(each.made + each.reused for each in report.spending)
    to.bound("calls", expected.calls, float(answers))
    if rows is not None:
        _rows(to, expected, rows, counts.get("loaded", 0))
    return to


def _rows(to: Comparison, expected: IntegrationExpectation, rows: Sequence[Mapping[str, Any]], loaded: int) -> None:
    if len(rows) != loaded:
        to.failures.append(Failure("rows", f"{loaded} in the destination, as were loaded", str(len(rows))))
    there = {name for row in rows for name in row}
    if lacking := [name for name in expected.columns if name not in there]:
        found = ", ".join(sorted(there)) or "no column"
        to.failures.append(Failure("columns", ", ".join(lacking), found))
    if expected.unique:
        seen = Counter(shown([row.get(name) for name in expected.unique]) for row in rows)
        if twice := [name for name, count in seen.items() if count > 1]:
            found = f"{len(twice)} of them more than once, such as {twice[0]}"
            to.failures.append(Failure("unique", f"each {', '.join(expected.unique)} once", found))
