"""Asks both databases what runs cost on each day."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import text

from loom_common.domain.run.calls import Calls
from loom_common.flow import Stage
from loom_coordinator.accounting import usage
from loom_coordinator.queries.costs import paid
from support.run_rows import add_run, begun_run

MIDNIGHT = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
SECOND = dt.timedelta(seconds=1)


async def test_a_run_is_counted_on_the_day_in_utc_on_which_it_ended_and_its_calls_on_theirs(engine):
    calls = Calls(purpose="transform", provider="p", model="m", made=4, reused=1, tokens_out=100, cost=0.5)
    async with begun_run(engine) as unit:
        if engine.dialect.name == "postgresql":
            await unit.connection.execute(text("SET LOCAL TIME ZONE 'Asia/Tokyo'"))
        for name, moment in (("run_2", MIDNIGHT - SECOND), ("run_3", MIDNIGHT), ("run_4", MIDNIGHT + SECOND)):
            await add_run(unit, run_id=name, completed_at=moment, records_processed=10)
            await usage.book(unit, [(name, Stage.TRANSFORM, (calls,))])
        found = {each.span: each for each in await paid.by_span(unit.connection, "p", "day")}
    assert {span: (each.runs, each.records) for span, each in found.items() if each.runs} == {
        "2026-01-01": (1, 10),
        "2026-01-02": (2, 20),
    }
    assert sum(each.made for each in found.values()) == 12
    assert sum(each.cost for each in found.values()) == 1.5
