"""What the records of a run came to is kept for a day, on SQLite and Postgres."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest
from sqlalchemy import func, select

from loom_common.contracts.v1 import BatchFact, BatchHeader, Evaluation, RecordOutput
from loom_common.domain.run.tally import Tally
from loom_common.domain.values.ids import batch_id
from loom_common.flow import Stage
from loom_coordinator.db.outputs import record_outputs
from loom_coordinator.db.outputs.record_outputs import KEPT, MOST
from loom_coordinator.db.tables.outcomes import record_outputs as table
from loom_coordinator.intake import apply_facts
from loom_coordinator.queries.outcomes import of_records
from loom_quarantine.db import store
from support.quarantined import kept, message
from support.run_rows import NOW, begun_run

RUN = "run_1"


@pytest.fixture
async def unit(engine):
    """Provide a transaction in which a run has begun."""
    async with begun_run(engine) as unit:
        yield unit


def fact(position: int, stage: Stage, **said) -> BatchFact:
    header = BatchHeader(
        run_id=RUN, pipeline="p", plan="plan", epoch=1, batch_id=batch_id(RUN, 0, 0, position), partition=0, slice=0,
        position=position, tally=Tally(extracted=1, transformed=1),
    )  # fmt: skip
    return BatchFact(header=header, stage=stage, seconds=0.1, **said)


def outputs(*names: str) -> tuple[RecordOutput, ...]:
    return tuple(RecordOutput(record_id=name, output={"of": name}) for name in names)


async def test_outputs_are_told_with_their_scores_and_with_what_was_kept_back(engine):
    scored = Evaluation(record_id="a", name="fit", score=0.5, passed=True, explanation="fits")
    loaded = [fact(0, Stage.LOAD, outputs=outputs("a")), fact(1, Stage.LOAD, outputs=outputs("c"))]
    async with begun_run(engine) as unit:
        await apply_facts.take(unit, [fact(0, Stage.EVALUATE, evaluations=(scored,)), *loaded])
    await store.keep(engine, message(kept("b"), run_id=RUN), NOW)
    async with engine.connect() as connection:
        found = await of_records.of_run(connection, RUN, placed=True)
        assert [(each.record_id, each.status, each.output) for each in found[:2]] == [
            ("a", "loaded", {"of": "a"}),
            ("c", "loaded", {"of": "c"}),
        ]
        assert [(each.evaluator_name, each.score, each.explanation) for each in found[0].scores] == [
            ("fit", 0.5, "fits")
        ]
        assert (found[2].record_id, found[2].status, bool(found[2].reason)) == ("b", kept("b").outcome, True)
        assert [each.status for each in await of_records.of_run(connection, RUN, placed=False)][:2] == ["passed"] * 2


async def test_a_run_keeps_so_many_outputs_and_those_that_come_again_once(unit):
    names = [f"r{number}" for number in range(MOST + 20)]
    await apply_facts.take(unit, [fact(0, Stage.LOAD, outputs=outputs(*names[:60]))])
    for _ in range(2):
        await apply_facts.take(unit, [fact(1, Stage.LOAD, outputs=outputs(*names[60:]))])
    assert await unit.connection.scalar(select(func.count()).select_from(table)) == MOST


@pytest.mark.parametrize(("later", "left"), [(KEPT, 1), (KEPT + dt.timedelta(seconds=1), 0)])
async def test_outputs_are_forgotten_after_a_day(unit, later, left):
    await apply_facts.take(unit, [fact(0, Stage.LOAD, outputs=outputs("a"))])
    await record_outputs.forget_old(replace(unit, now=unit.now + later))
    assert await unit.connection.scalar(select(func.count()).select_from(table)) == left
