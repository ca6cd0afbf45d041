"""Tests how facts become run state: in groups, once each, and each lets its run take its next step."""

from __future__ import annotations

import datetime as dt

import pytest

from loom_common.contracts.v1 import (
    BatchFact,
    BatchHeader,
    BudgetSpent,
    Evaluation,
    ExtractSlice,
    FinalizeLoad,
    LoadFinalized,
    RecordsAnswered,
    RunFinished,
    SlicedBatch,
    SliceExtracted,
    StageDelayed,
    StageFailed,
)
from loom_common.domain.run.tally import Tally
from loom_common.domain.values.ids import batch_id
from loom_common.flow import Stage
from loom_coordinator.db.tables.outcomes import record_evaluations
from loom_coordinator.db.tables.work import batches
from loom_coordinator.intake import apply_facts
from loom_coordinator.lifecycle import partitions, slices
from loom_coordinator.queries import records
from support.run_rows import run_state, sent, the_run

RUN = "run_1"
LOADED = Tally(extracted=5, transformed=5, passed=5, loaded=5)


@pytest.fixture
async def unit():
    """Provide a run whose first slice was asked for."""
    async with run_state() as unit:
        await partitions.begin(unit, RUN, None)
        await slices.release(unit, await the_run(unit))
        yield unit


def sliced(*, end: bool, epoch: int = 1) -> SliceExtracted:
    made = (SlicedBatch(batch_id=batch_id(RUN, 0, 0, 0), position=0, tally=Tally(extracted=5)),)
    return SliceExtracted(run_id=RUN, pipeline="p", epoch=epoch, partition=0, slice=0, batches=made, cursor=1, end=end)


def batch_fact(stage: Stage = Stage.LOAD, tally: Tally = LOADED, **more) -> BatchFact:
    header = BatchHeader(
        run_id=RUN, pipeline="p", plan="plan", epoch=1, batch_id=batch_id(RUN, 0, 0, 0), partition=0, slice=0,
        position=0, tally=tally,
    )  # fmt: skip
    return BatchFact(header=header, stage=stage, seconds=0.1, **more)


async def state_of(unit) -> str:
    return (await the_run(unit)).status


async def test_an_answered_slice_brings_the_next_one(unit):
    await apply_facts.take(unit, [sliced(end=False)])
    assert [asked.slice for asked in sent(unit, ExtractSlice)] == [0, 1]


async def test_the_last_fact_has_the_load_finalized(unit):
    await apply_facts.take(unit, [sliced(end=True)])
    assert sent(unit, FinalizeLoad) == []
    await apply_facts.take(unit, [batch_fact()])
    [asked] = sent(unit, FinalizeLoad)
    assert (asked.complete, asked.epoch, (await the_run(unit)).finalizing) == (True, 1, True)


@pytest.mark.parametrize("together", [True, False], ids=["in one group", "one by one"])
@pytest.mark.parametrize("backwards", [True, False], ids=["in reverse order", "in order"])
async def test_a_run_ends_the_same_in_whatever_order_its_facts_arrive(unit, together, backwards):
    facts = [sliced(end=True), batch_fact(Stage.TRANSFORM, Tally(extracted=5, transformed=5)), batch_fact()]
    facts = facts[::-1] if backwards else facts
    for group in [facts] if together else [[fact] for fact in facts]:
        await apply_facts.take(unit, group)
    assert len(sent(unit, FinalizeLoad)) == 1
    [state] = (await unit.connection.execute(batches.select())).mappings().all()
    assert (state["state"], state["loaded"]) == ("done", 5)


async def test_a_fact_that_comes_twice_counts_once(unit):
    for _ in range(2):
        await apply_facts.take(unit, [sliced(end=True), batch_fact()])
    assert len(sent(unit, FinalizeLoad)) == 1


async def test_the_loader_s_answer_ends_the_run(unit):
    await apply_facts.take(unit, [sliced(end=True), batch_fact()])
    await apply_facts.take(unit, [LoadFinalized(run_id=RUN, epoch=1, location="out.csv")])
    [finished] = sent(unit, RunFinished)
    assert (finished.report.status, finished.report.records["loaded"]) == ("succeeded", 5)


async def test_a_stage_that_failed_fails_its_run(unit):
    await apply_facts.take(unit, [StageFailed(run_id=RUN, epoch=1, stage=Stage.LOAD, reason="no such table")])
    run = await the_run(unit)
    assert (run.status, run.error_message, run.epoch) == ("failed", "load: no such table", 2)


async def test_a_failure_of_an_earlier_epoch_fails_nothing(unit):
    await apply_facts.take(unit, [StageFailed(run_id=RUN, epoch=0, stage=Stage.LOAD, reason="stale")])
    assert await state_of(unit) == "running"


async def test_a_spent_budget_pauses_the_run(unit):
    spent = BudgetSpent(run_id=RUN, epoch=1, stage=Stage.TRANSFORM, limit=1.0, gone=0.9, needed=0.2)
    await apply_facts.take(unit, [spent])
    run = await the_run(unit)
    assert (run.status, run.reason, run.epoch) == ("paused", "budget_exhausted", 2)


def delayed(*, upstream: str | None = None, attempt: int = 1) -> StageDelayed:
    return StageDelayed(
        run_id=RUN, stage=Stage.EVALUATE, cause="m1", attempt=attempt, delay=5.0, reason="locked", upstream=upstream
    )


async def notice_of(unit) -> str:
    return (await the_run(unit)).notice or ""


EVALUATED = Tally(extracted=5, transformed=5, passed=5)


@pytest.mark.parametrize("together", [True, False], ids=["in one group", "one by one"])
async def test_a_run_that_waits_for_an_upstream_says_so_until_the_stage_that_needs_it_moves(unit, together):
    facts = [delayed(upstream="the judge"), sliced(end=False), batch_fact(Stage.TRANSFORM, EVALUATED)]
    for group in [facts] if together else [[fact] for fact in facts]:
        await apply_facts.take(unit, group)
        assert "the judge is away; next probe in 5 s" in await notice_of(unit)
    await apply_facts.take(unit, [batch_fact(Stage.EVALUATE, EVALUATED)])
    assert await notice_of(unit) == ""


async def test_a_run_of_which_a_batch_waits_says_so_until_its_time_has_come(unit):
    await apply_facts.take(unit, [delayed()])
    await apply_facts.take(unit, [batch_fact(Stage.EVALUATE, EVALUATED)])
    assert "evaluate waits 5 s" in await notice_of(unit)
    unit.now += dt.timedelta(seconds=6)
    await apply_facts.take(unit, [batch_fact(Stage.EVALUATE, EVALUATED)])
    assert await notice_of(unit) == ""


async def test_what_a_paused_run_says_is_not_overwritten_by_what_a_stage_waited_for(unit):
    spent = BudgetSpent(run_id=RUN, epoch=1, stage=Stage.TRANSFORM, limit=1.0, gone=0.9, needed=0.2)
    await apply_facts.take(unit, [spent])
    await apply_facts.take(unit, [delayed()])
    assert "loom resume" in await notice_of(unit)


async def test_scores_of_records_are_stored(unit):
    scored = Evaluation(
        record_id="a", name="fit", score=0.5, passed=False, seconds=0.25, tier="cheap", answered_by="length"
    )
    tally = Tally(extracted=5, transformed=5, passed=5)
    await apply_facts.take(unit, [batch_fact(Stage.EVALUATE, tally, evaluations=(scored,))])
    [row] = (await unit.connection.execute(record_evaluations.select())).mappings().all()
    assert row["record_id"] == "a"
    assert row["score"] == 0.5
    assert row["passed"] is False
    assert row["latency_ms"] == 250.0
    assert (row["tier"], row["answered_by"]) == ("cheap", "length")


async def test_what_answered_a_record_is_stored_once_however_often_it_is_told(unit):
    cheap = RecordsAnswered(tier="cheap", answered_by="small", record_ids=("a", "b"))
    dear = RecordsAnswered(tier="dear", answered_by="big", record_ids=("c",))
    fact = batch_fact(Stage.TRANSFORM, EVALUATED, answered=(cheap, dear))
    await apply_facts.take(unit, [fact, fact])
    await apply_facts.take(unit, [fact])
    found = {name: await records.answered_by(unit.connection, RUN, name) for name in "abcd"}
    assert {name: by and (by.tier, by.name) for name, by in found.items()} == {
        "a": ("cheap", "small"), "b": ("cheap", "small"), "c": ("dear", "big"), "d": None,
    }  # fmt: skip


async def test_the_first_rows_of_a_sample_are_kept_by_the_place_of_their_batch(unit):
    await apply_facts.take(unit, [batch_fact(rows=({"id": "a"},))])
    assert (await the_run(unit)).sampled == {"0-0-0": [{"id": "a"}]}


async def test_facts_of_a_run_that_is_not_known_change_nothing(unit):
    await apply_facts.take(unit, [StageFailed(run_id="run_2", epoch=1, stage=Stage.LOAD, reason="whose?")])
    assert await state_of(unit) == "running"
