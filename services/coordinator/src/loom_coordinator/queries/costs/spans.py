"""Queries what a pipeline's runs paid for, added up by day, week or month. Pure."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from loom_common.domain.json_values.shown import Shown
from loom_common.domain.run.calls import AMOUNTS, Calls


@dataclass(frozen=True, slots=True)
class PaidOn:
    """Counts calls of one stage that were paid for on one day (UTC)."""

    date: dt.date
    stage: str
    calls: Calls


@dataclass(frozen=True, slots=True)
class EndedOn:
    """Counts the runs that ended on one day (UTC), and their records."""

    date: dt.date
    runs: int
    records: int
    budget: float = 0.0
    """The budgets in USD of those of them that had one, added up."""


@dataclass(frozen=True, slots=True)
class CostTotal(Shown):
    """Says what runs cost together."""

    runs: int = 0
    """Runs that ended."""
    records: int = 0
    """The number of records of those runs."""
    budget: float = 0.0
    """The budgets in USD of those of these runs that had one, added up."""
    made: int = 0
    """Model calls that were paid for."""
    reused: int = 0
    """Answers that had been paid for before."""
    unpriced: int = 0
    """Counts those of the calls made whose price is not known, which count as 0 USD."""
    estimated: int = 0
    """Counts those of the calls made whose tokens were estimated."""
    tokens_in: int = 0
    tokens_cached: int = 0
    """Counts those of `tokens_in` that the provider had cached."""
    tokens_out: int = 0
    cost: float = 0.0
    """Holds the cost in USD."""
    seconds: float = 0.0
    """The time from question to answer, added up over the calls made."""


@dataclass(frozen=True, slots=True)
class CostSpan(CostTotal):
    """Says what was spent in one day, week or month. Money counts on the day it was spent, runs and records on the day
    on which the run ended."""

    span: str = field(kw_only=True)
    """The day (`2026-02-11`), the ISO week (`2026-W07`) or the month (`2026-02`)."""
    cost_by_stage: Mapping[str, float] = field(default_factory=dict)
    """An amount in USD; so are the next two."""
    cost_by_model: Mapping[str, float] = field(default_factory=dict)
    cost_by_purpose: Mapping[str, float] = field(default_factory=dict)

    @property
    def cost_per_record(self) -> float | None:
        """Return USD for each record whose run ended in the span; None where no run ended."""
        return self.cost / self.records if self.records else None

    def as_json(self) -> dict[str, Any]:
        """Write the fields and the cost per record."""
        fields = Shown.as_json(self)
        costs = {name: fields.pop(name) for name in ("cost_by_stage", "cost_by_model", "cost_by_purpose")}
        return {"span": fields.pop("span"), **fields, **costs, "cost_per_record": self.cost_per_record}


def span_of(date: dt.date, by: str) -> str:
    """Return the day, the ISO week or the month that a day belongs to."""
    if by == "week":
        year, week, _ = date.isocalendar()
        return f"{year}-W{week:02}"
    return date.isoformat() if by == "day" else f"{date.year}-{date.month:02}"


def by_span(paid: Iterable[PaidOn], ended: Iterable[EndedOn], by: str) -> list[CostSpan]:
    """Return one entry per span, the newest first."""
    spans: dict[str, CostSpan] = {}
    for each in paid:
        name = span_of(each.date, by)
        spans[name] = _with_calls(spans.get(name, CostSpan(span=name)), each)
    for day in ended:
        name = span_of(day.date, by)
        before = spans.get(name, CostSpan(span=name))
        spans[name] = dataclasses.replace(
            before,
            runs=before.runs + day.runs,
            records=before.records + day.records,
            budget=before.budget + day.budget,
        )
    return [spans[name] for name in sorted(spans, reverse=True)]


def total(spans: Iterable[CostTotal]) -> CostTotal:
    """Return the sum over all spans."""
    spans = list(spans)
    names = [each.name for each in dataclasses.fields(CostTotal)]
    return CostTotal(**{name: sum(getattr(span, name) for span in spans) for name in names})


def _with_calls(span: CostSpan, paid: PaidOn) -> CostSpan:
    calls = paid.calls
    return dataclasses.replace(
        span,
        **{name: getattr(span, name) + getattr(calls, name) for name in AMOUNTS},
        cost_by_stage=_plus(span.cost_by_stage, paid.stage, calls.cost),
        cost_by_model=_plus(span.cost_by_model, calls.model, calls.cost),
        cost_by_purpose=_plus(span.cost_by_purpose, calls.purpose, calls.cost),
    )


def _plus(costs: Mapping[str, float], name: str, cost: float) -> dict[str, float]:
    return {**costs, name: costs.get(name, 0.0) + cost}
