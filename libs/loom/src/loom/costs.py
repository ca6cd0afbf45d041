"""What a pipeline's runs paid for, added up as people ask for it. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any

_SUMS = ("made", "reused", "unpriced", "estimated", "tokens_in", "tokens_cached", "tokens_out", "cost", "seconds")


def span_of(date: dt.date, by: str) -> str:
    """The day, the ISO week (`2026-W07`) or the month (`2026-02`) a day belongs to."""
    if by == "week":
        year, week, _ = date.isocalendar()
        return f"{year}-W{week:02}"
    return date.isoformat() if by == "day" else f"{date.year}-{date.month:02}"


def by_span(calls: Iterable[Mapping[str, Any]], ended: Iterable[tuple[dt.date, int]], by: str) -> list[dict[str, Any]]:
    """One entry per span, the newest first: money on the days it was spent, runs and records on the day a run ended.
    `calls` are rows of `run_calls`; `ended` is a day and the number of records for each run that has ended."""
    spans: dict[str, dict[str, Any]] = {}
    for row in calls:
        entry = spans.setdefault(span_of(row["date"], by), _nothing())
        for name in _SUMS:
            entry[name] += row[name]
        for what in ("stage", "model", "purpose"):
            costs = entry[f"cost_by_{what}"]
            costs[row[what]] = costs.get(row[what], 0.0) + row["cost"]
    for date, records in ended:
        entry = spans.setdefault(span_of(date, by), _nothing())
        entry["runs"] += 1
        entry["records"] += records
    return [_complete(name, spans[name]) for name in sorted(spans, reverse=True)]


def total(spans: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Of all spans together."""
    spans = list(spans)
    names = ("runs", "records", *_SUMS)
    return {name: sum(span[name] for span in spans) for name in names}


def _nothing() -> dict[str, Any]:
    money: dict[str, Any] = {f"cost_by_{what}": {} for what in ("stage", "model", "purpose")}
    return {"runs": 0, "records": 0, **dict.fromkeys(_SUMS, 0), **money}


def _complete(name: str, entry: dict[str, Any]) -> dict[str, Any]:
    per_record = entry["cost"] / entry["records"] if entry["records"] else None
    return {"span": name, **entry, "cost_per_record": per_record}
