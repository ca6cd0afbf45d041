"""Tests that a run on a cluster begins only once its source and its destination were looked at."""

from __future__ import annotations

import datetime as dt

import pytest
from sqlalchemy import select

from loom_common.contracts.v1 import (
    CheckDestination,
    CheckSource,
    DestinationChecked,
    ExtractSlice,
    PreflightCheck,
    PreflightColumn,
    SourceChecked,
    SourceSplit,
    SplitSource,
)
from loom_common.domain.run.piece import Piece
from loom_common.domain.run.plan import Plan, Replay
from loom_coordinator.db.tables.runs import pipeline_runs
from loom_coordinator.intake import apply_facts, run_commands
from loom_coordinator.lifecycle import partitions, preflight, slices
from support.run_rows import DEFINITION, NOW, run_state, sent, the_run

RUN = "run_1"
READ = PreflightColumn(column="id", origin="source", in_prompt=True, written=None, there=None, done="read", fits=True)
THERE = PreflightColumn(
    column="id", origin=None, in_prompt=False, written="text", there="text", done="written", fits=True
)
ONLY_THERE = THERE.model_copy(update={"column": "noted_at", "written": None, "done": "left empty"})


def plan_with(**changed: object) -> Plan:
    return Plan.model_validate({"pipeline": DEFINITION, **changed})


def source(*, ok: bool = True, detail: str = "in.csv", epoch: int = 1) -> SourceChecked:
    checks = (PreflightCheck(what="source", ok=ok, detail=detail),)
    return SourceChecked(run_id=RUN, pipeline="p", epoch=epoch, checks=checks, columns=(READ,))


def destination(*, ok: bool = True, doubtful: bool = False, detail: str = "out.csv", epoch: int = 1):
    checks = (PreflightCheck(what="destination", ok=ok, doubtful=doubtful, detail=detail),)
    return DestinationChecked(run_id=RUN, pipeline="p", epoch=epoch, checks=checks, columns=(THERE, ONLY_THERE))


@pytest.fixture
async def unit():
    """Provide a run on a cluster that has asked an extractor and a loader."""
    async with run_state(definition=DEFINITION, credit_window=16) as unit:
        run = await the_run(unit)
        await partitions.begin(unit, RUN, None)
        await preflight.ask(unit, run)
        await apply_facts.advance(unit, run)
        yield unit


async def found(unit):
    return (await unit.connection.execute(select(pipeline_runs.c.preflight))).scalar_one()


@pytest.mark.parametrize(
    ("changed", "embedded", "wanted"),
    [
        ({}, False, True),
        ({"limit": 3, "beside": True}, False, True),
        ({"replay": Replay(run_id="run_0")}, False, False),
        ({}, True, False),
    ],
)
def test_which_runs_are_looked_at_by_the_services(changed, embedded, wanted):
    assert preflight.is_wanted(plan_with(**changed), embedded=embedded) is wanted


async def test_each_is_asked_once_and_no_slice_before_both_have_answered(unit):
    assert len(sent(unit, CheckSource)) == len(sent(unit, CheckDestination)) == 1
    for fact in (source(), source()):
        await apply_facts.take(unit, [fact])
        assert not sent(unit, ExtractSlice)
    await apply_facts.take(unit, [destination()])
    assert len(sent(unit, ExtractSlice)) == 1
    assert not (await the_run(unit)).error_message


@pytest.mark.parametrize("facts", [[source(), destination()], [destination(), source()]])
@pytest.mark.parametrize("together", [True, False])
async def test_what_was_found_is_kept_in_one_order_whoever_answers_first(unit, facts, together):
    for group in [facts] if together else [[fact] for fact in facts]:
        await apply_facts.take(unit, group)
    kept = await found(unit)
    assert [check["what"] for check in kept["checks"]] == ["source", "destination"]
    assert kept["columns"] == [
        {**READ.model_dump(), "written": "text", "there": "text", "done": "written"}, ONLY_THERE.model_dump()
    ]  # fmt: skip
    assert kept.keys() == {"checks", "columns"}


async def test_the_first_answer_counts(unit):
    await apply_facts.take(unit, [source(detail="first"), source(detail="second"), destination()])
    await apply_facts.take(unit, [source(detail="third"), destination(ok=False, detail="late")])
    assert [check["detail"] for check in (await found(unit))["checks"]] == ["first", "out.csv"]
    assert (await the_run(unit)).status == "running"
    assert len(sent(unit, ExtractSlice)) == 1


@pytest.fixture
async def divisible():
    """Provide the same of a run whose source may be split."""
    async with run_state(definition=DEFINITION, credit_window=16) as unit:
        run = await the_run(unit)
        await partitions.begin(unit, RUN, None)
        await preflight.ask(unit, run, splits=True)
        await apply_facts.advance(unit, run)
        yield unit


def split(*pieces: Piece, epoch: int = 1) -> SourceSplit:
    return SourceSplit(run_id=RUN, pipeline="p", epoch=epoch, pieces=pieces)


TWO = (Piece(until=40), Piece(start=40))


async def test_the_extractor_is_asked_once_for_what_it_finds_and_how_the_source_is_split(divisible):
    assert [(each.split, each.parts) for each in sent(divisible, CheckSource)] == [(True, None)]
    await apply_facts.take(divisible, [split(*TWO), source()])
    assert not sent(divisible, ExtractSlice)
    await apply_facts.take(divisible, [destination()])
    assert [each.partition for each in sent(divisible, ExtractSlice)] == [0, 1]
    assert not sent(divisible, SplitSource)


async def test_what_the_extractor_did_not_split_is_asked_for_once_both_have_answered(divisible):
    await apply_facts.take(divisible, [source()])
    assert await slices.reissue(divisible, await the_run(divisible)) == 1
    assert not sent(divisible, SplitSource)
    await apply_facts.take(divisible, [destination()])
    assert len(sent(divisible, SplitSource)) == 1
    assert not sent(divisible, ExtractSlice)
    assert await slices.reissue(divisible, await the_run(divisible)) == 1
    await apply_facts.take(divisible, [split(*TWO)])
    assert [each.partition for each in sent(divisible, ExtractSlice)] == [0, 1]


async def test_what_does_not_fit_is_split_anew_once_it_is_mended(divisible):
    await apply_facts.take(divisible, [split(*TWO), source(), destination(ok=False)])
    assert (await the_run(divisible)).status == "failed"
    await run_commands.resume(divisible, await the_run(divisible), None)
    epoch = (await the_run(divisible)).epoch
    assert [(each.epoch, each.split) for each in sent(divisible, CheckSource)] == [(1, True), (epoch, True)]
    await apply_facts.take(divisible, [split(*TWO)])  # it was under way when the run failed
    three = (Piece(until=10), Piece(start=10, until=20), Piece(start=20))
    await apply_facts.take(divisible, [split(*three, epoch=epoch), source(epoch=epoch), destination(epoch=epoch)])
    assert [(each.partition, each.cursor) for each in sent(divisible, ExtractSlice)] == [(0, None), (1, 10), (2, 20)]
    assert not sent(divisible, SplitSource)


async def test_every_mistake_is_told_at_once_and_nothing_was_asked_for(unit):
    await apply_facts.take(unit, [destination(ok=False, detail="no table")])
    assert (await the_run(unit)).status == "running"
    await apply_facts.take(unit, [source(ok=False, detail="no field")])
    run = await the_run(unit)
    assert (run.status, run.error_message) == ("failed", "no field\nno table")
    assert [check["ok"] for check in (await found(unit))["checks"]] == [False, False]
    assert not sent(unit, ExtractSlice)


@pytest.mark.parametrize("source_first", [True, False])
async def test_a_column_that_is_passed_on_and_missing_is_told_once_both_have_answered(source_first):
    passing = {**DEFINITION, "transform": {"type": "passthrough"}, "load": {"destination": "sqlite:///o.db?table=t"}}
    made = tuple(READ.model_copy(update={"column": name, "origin": "source and output"}) for name in ("id", "stars"))
    facts = [source().model_copy(update={"columns": made, "same_fields": True}), destination()]
    async with run_state(definition=passing, credit_window=16) as unit:
        await partitions.begin(unit, RUN, None)
        await preflight.ask(unit, await the_run(unit))
        for fact in facts if source_first else reversed(facts):
            await apply_facts.take(unit, [fact])
        run, kept = await the_run(unit), await found(unit)
        assert (run.status, sent(unit, ExtractSlice)) == ("failed", [])
    assert "sqlite:///o.db?table=t has no column 'stars'" in str(run.error_message)
    assert {each["column"]: (each["there"], each["fits"]) for each in kept["columns"]} == {
        "id": ("text", True), "stars": (None, False), "noted_at": ("text", True)
    }  # fmt: skip


async def test_what_is_doubtful_stands_in_no_way(unit):
    await apply_facts.take(unit, [source(), destination(ok=False, doubtful=True)])
    assert (await the_run(unit)).status == "running"
    assert len(sent(unit, ExtractSlice)) == 1


async def test_what_is_not_answered_is_asked_again(unit):
    await apply_facts.take(unit, [source()])
    assert await slices.reissue(unit, await the_run(unit)) == 1
    assert (len(sent(unit, CheckSource)), len(sent(unit, CheckDestination))) == (1, 2)


async def test_a_resume_looks_again_at_what_did_not_fit(unit):
    await apply_facts.take(unit, [source(), destination(ok=False, detail="no table")])
    await run_commands.resume(unit, await the_run(unit), None)
    run = await the_run(unit)
    assert run.status == "running"
    assert [each.epoch for each in sent(unit, CheckSource)] == [1, run.epoch]
    assert [each.epoch for each in sent(unit, CheckDestination)] == [1, run.epoch]
    await apply_facts.take(unit, [destination(), source()])  # they were under way when the run failed
    assert not sent(unit, ExtractSlice)
    await apply_facts.take(unit, [destination(detail="mended", epoch=run.epoch), source(epoch=run.epoch)])
    assert [check["detail"] for check in (await found(unit))["checks"]] == ["in.csv", "mended"]
    assert len(sent(unit, ExtractSlice)) == 1


async def test_a_resume_after_a_pause_asks_for_the_answer_that_is_missing(unit):
    await apply_facts.take(unit, [destination()])
    await run_commands.pause(unit, await the_run(unit))
    await run_commands.resume(unit, await the_run(unit), None)
    run = await the_run(unit)
    assert (len(sent(unit, CheckSource)), len(sent(unit, CheckDestination))) == (2, 1)
    await apply_facts.take(unit, [source(epoch=run.epoch)])
    assert [check["what"] for check in (await found(unit))["checks"]] == ["source", "destination"]
    assert len(sent(unit, ExtractSlice)) == 1


async def test_the_first_slice_is_small_however_long_the_answers_took():
    sizes = []
    for waited in (0, 60):
        begun = {"definition": DEFINITION, "credit_window": 128, "slice_batches": 32}
        async with run_state(**begun, started_at=NOW - dt.timedelta(seconds=waited)) as unit:
            await partitions.begin(unit, RUN, None)
            await preflight.ask(unit, await the_run(unit))
            await apply_facts.take(unit, [source(), destination()])
            sizes += [each.max_batches for each in sent(unit, ExtractSlice)]
    assert len(sizes) == 2
    assert sizes[0] == sizes[1] < 32


def test_what_both_say_stands_in_the_way_once():
    refused = {"detail": "${URL} is not set.", "ok": False, "doubtful": False}
    checks = [refused, refused, {**refused, "detail": "No table."}, {**refused, "detail": "Maybe.", "doubtful": True}]
    assert preflight.in_the_way({"checks": checks}) == ["${URL} is not set.", "No table."]
