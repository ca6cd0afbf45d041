"""Tests how the records of a stream are shared between two versions of its pipeline while one is on trial."""

from __future__ import annotations

import pytest

from loom_common.contracts.v1 import CheckSource, ExtractSlice, RunCommand, SlicedBatch, SliceExtracted
from loom_common.domain.run.piece import Piece, Share
from loom_common.domain.run.tally import Tally
from loom_common.domain.values.ids import batch_id, canary_run_id, window_beside, window_run_id
from loom_coordinator.db import run_rows, streams
from loom_coordinator.intake import apply_facts, stream_commands
from loom_coordinator.lifecycle import partitions as partitions_of_runs
from loom_coordinator.lifecycle import slices as slices_of_runs
from loom_coordinator.lifecycle import stream_windows
from loom_coordinator.lifecycle.stream_windows import START
from loom_coordinator.lifecycle.streams.canaries import Canary
from loom_coordinator.lifecycle.streams.compaction import KEPT_WHOLE, compact
from support.run_rows import DEFINITION, NOW, run_columns, run_state, sent, the_run

STREAM = "stream_0123456789ab"
NEXT = {"page": 1, "record": 0, "state": None}
AFTER = {"page": 2, "record": 0, "state": None}
WINDOW = window_run_id(STREAM, 1)
BESIDE = canary_run_id(WINDOW)
_NO_TEMPLATE = ("run_id", "plan", "execution_date", "started_at", "status", "epoch", "finalizing")
SHARE = Share(canary=0.2, keys=("id",), on_trial=False)


@pytest.fixture
async def unit():
    """Provide a stream with a version on trial, whose window 1 has asked for its first slice."""
    looked_at = {"checks": [], "columns": []}
    async with run_state(run_id=WINDOW, stream=STREAM, stream_window=1, preflight=looked_at, owner="engine") as unit:
        unit.owner = "engine"
        row = run_columns(definition=DEFINITION, owner="engine")
        template = {name: value for name, value in row.items() if name not in (*_NO_TEMPLATE, "owner")}
        canary = Canary(plan="trial", template=template, every=60.0, records=10, share=0.2, keys=("id",), since=1).row()
        await streams.enter(
            unit,
            {
                "stream_id": STREAM, "pipeline_name": "p", "source": "in", "state": streams.RUNNING, "opened_at": NOW,
                "number": 1, "closed": False, "plan": "plan", "template": template, "every": 60.0, "records": 10,
                "canary": canary,
            },
        )  # fmt: skip
        await partitions_of_runs.begin(unit, WINDOW, 10, Piece(start=START, whole_keys=True, share=SHARE))
        await slices_of_runs.release(unit, await the_run(unit, WINDOW))
        yield unit


def answer(run_id: str, number: int, records: int, cursor: object, others: int = 0) -> SliceExtracted:
    made = (SlicedBatch(batch_id=batch_id(run_id, 0, number, 0), position=0, tally=Tally(extracted=records)),)
    return SliceExtracted(
        run_id=run_id, pipeline="p", epoch=1, partition=0, slice=number, batches=made if records else (),
        cursor=cursor, end=False, others=others,
    )  # fmt: skip


async def test_what_a_window_leaves_is_read_beside_it_at_the_same_place_with_the_same_limits(unit):
    for _ in range(2):  # an answer that comes twice leaves it once
        await apply_facts.take(unit, [answer(WINDOW, 0, 3, NEXT, others=2)])
    first, following, beside = sorted(sent(unit, ExtractSlice), key=lambda each: (each.run_id == BESIDE, each.slice))
    assert (beside.run_id, beside.plan, beside.slice) == (BESIDE, "trial", 0)
    assert (beside.cursor, beside.limit, beside.max_batches) == (first.cursor, first.limit, first.max_batches)
    assert beside.piece.share == SHARE.model_copy(update={"on_trial": True})
    assert (following.cursor, following.limit) == (NEXT, 5)
    run = await the_run(unit, BESIDE)
    assert (run.stream, run.stream_window, run.canary_of) == (STREAM, 1, WINDOW)


async def test_no_run_is_opened_beside_a_window_that_leaves_nothing(unit):
    await apply_facts.take(unit, [answer(WINDOW, 0, 3, NEXT)])
    assert {each.run_id for each in sent(unit, ExtractSlice)} == {WINDOW}


async def test_what_is_read_beside_a_window_ends_with_it_and_asks_for_nothing_itself(unit):
    await apply_facts.take(unit, [answer(WINDOW, 0, 3, NEXT, others=2)])
    await apply_facts.take(unit, [answer(BESIDE, 0, 2, NEXT)])
    assert len([each for each in sent(unit, ExtractSlice) if each.run_id == BESIDE]) == 1
    assert not await stream_windows.is_read(unit, await the_run(unit, BESIDE))
    await apply_facts.take(unit, [answer(WINDOW, 1, 4, AFTER, others=1)])
    assert (await streams.find(unit.connection, STREAM)).number == 2
    assert not await stream_windows.is_read(unit, await the_run(unit, BESIDE))
    await apply_facts.take(unit, [answer(BESIDE, 1, 1, AFTER)])
    assert await stream_windows.is_read(unit, await the_run(unit, BESIDE))


async def test_a_window_whose_records_are_all_the_others_is_begun_and_closes_by_number(unit):
    await apply_facts.take(unit, [answer(WINDOW, 0, 0, NEXT, others=10)])
    assert (await streams.find(unit.connection, STREAM)).number == 2


async def test_the_window_closes_with_its_next_answer_once_the_trial_is_decided(unit):
    await streams.change(unit, STREAM, canary=None)
    await apply_facts.take(unit, [answer(WINDOW, 0, 3, NEXT, others=2)])
    assert (await the_run(unit, BESIDE)).plan == "plan"  # what was left before is read by the version that goes on
    second = [each for each in sent(unit, ExtractSlice) if each.run_id == window_run_id(STREAM, 2)]
    assert [each.piece.share for each in second] == [None]


async def test_what_is_paused_beside_a_window_is_asked_for_when_it_goes_on(unit):
    await apply_facts.take(unit, [answer(WINDOW, 0, 3, NEXT, others=2)])
    await run_rows.change(unit, BESIDE, status=run_rows.PAUSED)
    await apply_facts.take(unit, [answer(WINDOW, 1, 3, AFTER, others=1)])
    assert [each.slice for each in sent(unit, ExtractSlice) if each.run_id == BESIDE] == [0]
    await run_rows.change(unit, BESIDE, status=run_rows.RUNNING)
    await apply_facts.advance(unit, await the_run(unit, BESIDE))
    assert [each.slice for each in sent(unit, ExtractSlice) if each.run_id == BESIDE] == [0, 1]


async def test_on_a_cluster_the_services_look_before_a_version_on_trial_reads(unit):
    unit.owner = None
    await run_rows.change(unit, WINDOW, owner=None)
    await apply_facts.take(unit, [answer(WINDOW, 0, 3, NEXT, others=2)])
    assert [each.run_id for each in sent(unit, CheckSource)] == [BESIDE]
    assert {each.run_id for each in sent(unit, ExtractSlice)} == {WINDOW}


async def test_a_window_is_counted_with_what_was_read_beside_it_or_not_at_all(unit):
    await apply_facts.take(unit, [answer(WINDOW, 0, 3, NEXT, others=2)])
    await run_rows.change(unit, WINDOW, status=run_rows.SUCCEEDED)
    stream = await streams.find(unit.connection, STREAM)
    await compact(unit, stream, 2 + KEPT_WHOLE)
    assert (await streams.find(unit.connection, STREAM)).counted == 0
    assert [each.run_id for each in await streams.open_windows(unit.connection, STREAM)] == [BESIDE]
    await run_rows.change(unit, BESIDE, status=run_rows.SUCCEEDED)
    await compact(unit, stream, 2 + KEPT_WHOLE)
    assert (await streams.find(unit.connection, STREAM)).counted == 1


async def cancelled(unit) -> None:
    """Cancel the stream, whose window is one of ten records."""
    load = {**DEFINITION["load"], "mode": "append"}
    ten = {**DEFINITION, "mode": "streaming", "window": {"records": 10}, "load": load}
    await run_rows.change(unit, WINDOW, definition=ten)
    await stream_commands.carry_out(unit, RunCommand(run_id=STREAM, verb="cancel"))


async def test_what_a_cancelled_stream_had_left_to_a_version_on_trial_counts_as_cancelled(unit):
    await apply_facts.take(unit, [answer(WINDOW, 0, 3, NEXT, others=2)])
    await apply_facts.take(unit, [answer(BESIDE, 0, 2, NEXT)])
    await apply_facts.take(unit, [answer(WINDOW, 1, 1, AFTER, others=3)])
    await cancelled(unit)
    window, beside = await the_run(unit, WINDOW), await the_run(unit, BESIDE)
    assert {window.status, beside.status} == {run_rows.CANCELLED}
    assert (window.tally.extracted, window.tally.cancelled) == (4, 4)
    assert (beside.tally.extracted, beside.tally.cancelled) == (5, 5)
    assert beside.tally.balanced
    late = answer(BESIDE, 1, 3, AFTER)  # of an extractor that was at it
    await apply_facts.take(unit, [late])
    beside = await the_run(unit, BESIDE)
    assert (beside.tally.extracted, beside.tally.cancelled) == (5, 5)


async def test_a_run_beside_a_window_that_had_read_all_has_nothing_more_to_cancel(unit):
    await apply_facts.take(unit, [answer(WINDOW, 0, 3, NEXT, others=2)])
    await apply_facts.take(unit, [answer(BESIDE, 0, 2, NEXT)])
    await cancelled(unit)
    beside = await the_run(unit, BESIDE)
    assert (beside.tally.extracted, beside.tally.cancelled) == (2, 2)


def test_the_id_of_a_run_beside_a_window_names_the_window():
    assert window_beside(BESIDE) == WINDOW
    assert window_beside(WINDOW) is None
    assert window_beside("run_0123456789ac") is None
    assert sorted([BESIDE, WINDOW]) == [WINDOW, BESIDE]
