from __future__ import annotations

import datetime as dt

import pytest

from loom_common.domain.run.calls import Calls
from loom_coordinator.queries.costs.spans import EndedOn, PaidOn, by_span, span_of, total

DAYS = [dt.date(2026, 1, 31), dt.date(2026, 2, 1), dt.date(2026, 2, 2)]


def row(date, cost, *, stage="transform", model="small", made=1):
    return PaidOn(date, stage, Calls(purpose=stage, provider="p", model=model, made=made, cost=cost))


@pytest.mark.parametrize(
    ("by", "spans"),
    [
        ("day", ["2026-01-31", "2026-02-01", "2026-02-02"]),
        ("week", ["2026-W05", "2026-W05", "2026-W06"]),
        ("month", ["2026-01", "2026-02", "2026-02"]),
    ],
)
def test_a_day_belongs_to_a_span(by, spans):
    assert [span_of(day, by) for day in DAYS] == spans


def test_money_stands_where_it_was_spent_and_records_where_the_run_ended():
    calls = [row(DAYS[0], 1.0), row(DAYS[1], 2.0, stage="evaluate", model="large"), row(DAYS[1], 0.5)]
    late, early = by_span(calls, [EndedOn(DAYS[1], 1, 10, 4.0)], "day")
    assert (late.budget, early.budget) == (4.0, 0.0)
    assert early.span == "2026-01-31"
    assert early.cost == 1.0
    assert early.runs == 0
    assert early.cost_per_record is None
    assert late.cost == 2.5
    assert late.runs == 1
    assert late.records == 10
    assert late.cost_per_record == 0.25
    assert late.cost_by_stage == {"evaluate": 2.0, "transform": 0.5}
    assert late.cost_by_model == {"large": 2.0, "small": 0.5}


def test_the_total_is_of_all_spans():
    spans = by_span([row(day, 1.0) for day in DAYS], [EndedOn(DAYS[2], 1, 3)], "month")
    summed = total(spans)
    assert summed.cost == 3.0
    assert summed.made == 3
    assert summed.runs == 1
    assert summed.records == 3
