"""Facts that arrive together are taken in one transaction, on SQLite and Postgres."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from loom_common.contracts.v1 import BatchFact, BatchHeader
from loom_common.domain.run.tally import Tally
from loom_common.domain.values.ids import batch_id
from loom_common.flow import Stage
from loom_coordinator.db.tables.work import batches, inbox
from loom_coordinator.intake import apply_facts
from support.run_rows import begun_run

RUN = "run_1"


@pytest.fixture
async def unit(engine):
    """Provide a transaction in which a run has begun."""
    async with begun_run(engine) as unit:
        yield unit


def transformed(position: int) -> BatchFact:
    header = BatchHeader(
        run_id=RUN, pipeline="p", plan="plan", epoch=1, batch_id=batch_id(RUN, 0, 0, position), partition=0, slice=0,
        position=position, tally=Tally(extracted=5, transformed=5),
    )  # fmt: skip
    return BatchFact(header=header, stage=Stage.TRANSFORM, seconds=0.1)


async def test_all_facts_of_a_group_are_taken_at_once(unit):
    group = [transformed(position) for position in range(3)]
    await apply_facts.take(unit, group)

    known = await unit.connection.execute(select(batches.c.position).order_by(batches.c.position))
    assert list(known.scalars()) == [0, 1, 2]
    entered = await unit.connection.execute(select(inbox.c.message_id))
    assert set(entered.scalars()) == {fact.message_id for fact in group}


async def test_of_a_group_only_the_new_facts_are_taken(unit):
    assert await unit.first_time({"first": RUN, "second": RUN}) == {"first", "second"}
    assert await unit.first_time({"second": RUN, "third": RUN}) == {"third"}


async def test_text_that_the_database_does_not_hold_spoils_no_group(unit, url):
    entered = await unit.first_time({"a\x00b": RUN, "c": RUN})
    assert entered == ({"a\ufffdb", "c"} if url.startswith("postgres") else {"a\x00b", "c"})
