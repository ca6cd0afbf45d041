"""Tests the windows of a stream: when they close, what the next one begins with, and what is left of old ones."""

from __future__ import annotations

import datetime as dt
from unittest.mock import AsyncMock

import pytest
from sqlalchemy import func, select

from loom_common.contracts.v1 import (
    BatchFact,
    BatchHeader,
    CheckDestination,
    CheckSource,
    ExtractSlice,
    RunCommand,
    SlicedBatch,
    SliceExtracted,
)
from loom_common.domain.definition.reader import parse
from loom_common.domain.run.piece import Piece
from loom_common.domain.run.plan import Plan
from loom_common.domain.run.tally import Tally
from loom_common.domain.values.ids import batch_id, canary_run_id, window_run_id
from loom_common.errors import ConfigurationError
from loom_common.flow import Stage
from loom_coordinator.db import run_rows, streams
from loom_coordinator.db.streams import Stream
from loom_coordinator.db.tables.runs import pipeline_runs
from loom_coordinator.db.tables.work import batches, partitions, slices
from loom_coordinator.intake import open_streams, stream_commands
from loom_coordinator.lifecycle import completion, stream_windows
from loom_coordinator.lifecycle import partitions as partitions_of_runs
from loom_coordinator.lifecycle import slices as slices_of_runs
from loom_coordinator.lifecycle.slices import SliceRow
from loom_coordinator.lifecycle.stream_windows import MOST_OPEN, START
from loom_coordinator.lifecycle.streams.compaction import KEPT_WHOLE, compact
from loom_coordinator.queries.streams.shown import shown
from support.run_rows import DEFINITION, NOW, add_run, apply, run_columns, run_state, sent, the_run

STREAM = "stream_0123456789ab"
NEXT = {"page": 1, "record": 0, "state": None}
LOOKED_AT = {"checks": [], "columns": []}
_NO_TEMPLATE = ("run_id", "plan", "execution_date", "started_at", "status", "epoch", "finalizing")


@pytest.fixture
async def unit():
    """Provide a stream whose window 1 has asked for its first slice; windows close after ten records, or a minute."""
    async with run_state(run_id=first(), stream=STREAM, stream_window=1, preflight=LOOKED_AT) as unit:
        row = run_columns(definition=DEFINITION)
        template = {name: value for name, value in row.items() if name not in _NO_TEMPLATE}
        await streams.enter(
            unit,
            {
                "stream_id": STREAM, "pipeline_name": "p", "source": "in", "state": streams.RUNNING, "opened_at": NOW,
                "number": 1, "closed": False, "plan": "plan", "template": template, "every": 60.0, "records": 10,
            },
        )  # fmt: skip
        await partitions_of_runs.begin(unit, first(), 10, Piece(start=START, whole_keys=True))
        await slices_of_runs.release(unit, await the_run(unit, first()))
        yield unit


def first() -> str:
    return window_run_id(STREAM, 1)


def answer(number: int = 0, records: int = 0, cursor: object = START, **more: object) -> SliceExtracted:
    """Slice `number` of window 1 was read."""
    made = (SlicedBatch(batch_id=batch_id(first(), 0, number, 0), position=0, tally=Tally(extracted=records)),)
    return SliceExtracted(
        run_id=first(), pipeline="p", epoch=1, partition=0, slice=number, batches=made if records else (),
        cursor=cursor, end=False, **more,
    )  # fmt: skip


def loaded(number: int) -> BatchFact:
    """Say that the batch of a slice of window 1 has ended."""
    header = BatchHeader(
        run_id=first(), pipeline="p", plan="plan", epoch=1, batch_id=batch_id(first(), 0, number, 0), partition=0,
        slice=number, position=0, tally=Tally(extracted=3, transformed=3, passed=3, loaded=3),
    )  # fmt: skip
    return BatchFact(header=header, stage=Stage.LOAD, seconds=0.1)


async def take(unit, fact: SliceExtracted) -> None:
    await apply(unit, fact)
    await stream_windows.answered(unit, await the_run(unit, first()), fact)


async def opened(unit) -> list[int]:
    query = select(pipeline_runs.c.stream_window).order_by(pipeline_runs.c.stream_window)
    return list((await unit.connection.execute(query)).scalars())


async def rows(unit, table) -> int:
    return (await unit.connection.execute(select(func.count()).select_from(table))).scalar_one()


async def test_a_quiet_source_is_asked_the_same_again_and_leaves_no_row(unit):
    for _ in range(3):
        await take(unit, answer())
    assert [(each.slice, each.closing) for each in sent(unit, ExtractSlice)] == [(0, False)] * 4
    assert await rows(unit, slices) == 1
    assert await opened(unit) == [1]


async def test_an_answer_of_an_earlier_epoch_that_had_nothing_asks_nothing(unit):
    await run_rows.raise_epoch(unit, await the_run(unit, first()), status=run_rows.RUNNING)
    await take(unit, answer())
    assert len(sent(unit, ExtractSlice)) == 1


async def test_a_full_window_is_followed_by_one_that_begins_where_it_ended(unit):
    for _ in range(2):  # an answer that comes twice opens one window
        await take(unit, answer(records=10, cursor=NEXT))
    assert await opened(unit) == [1, 2]
    asked = sent(unit, ExtractSlice)[-1]
    assert (asked.run_id, asked.cursor, asked.limit) == (window_run_id(STREAM, 2), NEXT, 10)
    assert asked.piece == Piece(start=NEXT, whole_keys=True)
    assert (await slices_of_runs.release(unit, await the_run(unit, first()))).ended


@pytest.mark.parametrize(("seconds", "windows"), [(59, [1]), (60, [1, 2])])
async def test_a_window_closes_by_time_with_the_record_that_comes_then(unit, seconds, windows):
    await take(unit, answer(records=3, cursor=NEXT))
    await slices_of_runs.release(unit, await the_run(unit, first()))
    unit.now = NOW + dt.timedelta(seconds=seconds)
    later = {"page": 3, "record": 0, "state": None}
    await take(unit, answer(1, 1, later))
    assert await opened(unit) == windows
    assert (await streams.find(unit.connection, STREAM)).cursor == (later if len(windows) > 1 else None)


async def test_a_window_whose_time_is_over_takes_nothing_more_from_a_quiet_source(unit):
    await take(unit, answer(records=3, cursor=NEXT))
    await slices_of_runs.release(unit, await the_run(unit, first()))
    unit.now = NOW + dt.timedelta(minutes=2)
    await take(unit, answer(1, cursor=NEXT))
    assert sent(unit, ExtractSlice)[-1].closing
    assert await opened(unit) == [1]
    closed = {"page": 2, "record": 0, "state": None}
    await take(unit, answer(1, cursor=closed, closed=True))
    assert await opened(unit) == [1, 2]
    assert sent(unit, ExtractSlice)[-1].cursor == closed


async def test_a_drain_ends_the_stream_where_its_source_has_nothing_more(unit):
    await streams.change(unit, STREAM, state=streams.DRAINING)
    await take(unit, answer(records=3, cursor=NEXT))
    await slices_of_runs.release(unit, await the_run(unit, first()))
    await take(unit, answer(1, cursor=NEXT))
    await take(unit, answer(1, cursor={"page": 2, "record": 0, "state": None}, closed=True))
    assert (await streams.find(unit.connection, STREAM)).state == streams.DRAINED
    assert await opened(unit) == [1]


async def test_another_version_closes_the_window_and_is_that_of_the_next(unit):
    await streams.change(unit, STREAM, plan="other")
    await take(unit, answer(records=3, cursor=NEXT))
    assert await opened(unit) == [1, 2]
    assert (await the_run(unit, window_run_id(STREAM, 2))).plan == "other"


@pytest.mark.parametrize(
    ("others", "follows"),
    [
        pytest.param(["running"] * (MOST_OPEN - 2), True, id="few windows are at work"),
        pytest.param(["running"] * (MOST_OPEN - 1), False, id="as many as there may be"),
        pytest.param(["paused"], False, id="one is paused"),
        pytest.param(["failed"], False, id="one has failed"),
        pytest.param(["succeeded", "cancelled", "partial"], True, id="others are over"),
    ],
)
async def test_the_source_is_not_read_while_windows_stand_against_it(unit, others, follows):
    for at, status in enumerate(others):
        await add_run(unit, run_id=f"other-{at}", status=status, stream=STREAM, stream_window=1)
    await take(unit, answer(records=10, cursor=NEXT))
    assert (2 in await opened(unit)) == follows


async def in_sequence(unit) -> None:
    """Let records of one key stay in sequence in the stream, and in its first window."""
    definition = {**DEFINITION, "order_by": ["customer"]}
    stream = await streams.find(unit.connection, STREAM)
    await streams.change(unit, STREAM, template={**stream.template, "definition": definition})
    await run_rows.change(unit, first(), definition=definition)


async def test_in_sequence_nothing_is_read_while_a_batch_is_at_work(unit):
    await in_sequence(unit)
    await take(unit, answer(records=3, cursor=NEXT))
    extraction = await slices_of_runs.release(unit, await the_run(unit, first()))
    assert (extraction.ended, extraction.awaited, len(sent(unit, ExtractSlice))) == (False, 1, 1)
    await apply(unit, loaded(0))
    await slices_of_runs.release(unit, await the_run(unit, first()))
    assert [each.slice for each in sent(unit, ExtractSlice)] == [0, 1]


async def test_in_sequence_nothing_is_read_while_the_version_on_trial_has_not_read_its_share(unit):
    await in_sequence(unit)
    await take(unit, answer(records=3, cursor=NEXT))
    await apply(unit, loaded(0))
    beside = canary_run_id(first())
    await add_run(unit, run_id=beside, status="running", stream=STREAM, stream_window=1, canary_of=first())
    await partitions_of_runs.begin(unit, beside, None, Piece(start=START, whole_keys=True))
    await slices_of_runs.enter_held(unit, beside, SliceRow(0, 0, None, START, 10, 4))
    await slices_of_runs.release(unit, await the_run(unit, first()))
    assert len(sent(unit, ExtractSlice)) == 1


async def test_in_sequence_a_window_follows_once_the_one_before_has_ended(unit):
    await in_sequence(unit)
    await take(unit, answer(records=10, cursor=NEXT))
    assert await opened(unit) == [1]
    await run_rows.change(unit, first(), status=run_rows.SUCCEEDED)
    await stream_windows.ended(unit, await the_run(unit, first()))
    assert await opened(unit) == [1, 2]


async def test_the_priority_of_a_stream_is_that_of_its_windows_at_work_and_of_those_to_come(unit):
    command = RunCommand(run_id=STREAM, verb="priority", priority=9)
    assert (await stream_commands.carry_out(unit, command)).stream == STREAM
    await take(unit, answer(records=10, cursor=NEXT))
    assert [(await the_run(unit, window_run_id(STREAM, number))).priority for number in (1, 2)] == [9, 9]
    with pytest.raises(ConfigurationError, match="needs `priority`"):
        await stream_commands.carry_out(unit, RunCommand(run_id=STREAM, verb="priority"))


async def test_on_a_cluster_the_services_look_before_the_first_window_of_each_version(unit):
    assert not sent(unit, CheckSource)
    await streams.change(unit, STREAM, plan="other")
    await take(unit, answer(records=3, cursor=NEXT))
    assert [each.plan for each in (*sent(unit, CheckSource), *sent(unit, CheckDestination))] == ["other", "other"]
    assert [each.run_id for each in sent(unit, ExtractSlice)] == [first()]


async def test_a_window_that_was_not_ready_to_read_is_read_by_the_version_that_mends_it(unit):
    await streams.change(unit, STREAM, plan="other")
    await take(unit, answer(records=3, cursor=NEXT))
    second = window_run_id(STREAM, 2)
    await completion.fail(unit, await the_run(unit, second), "the destination is not there")
    assert (await streams.find(unit.connection, STREAM)).closed is False
    load = {**DEFINITION["load"], "mode": "append"}
    mended = parse({**DEFINITION, "version": "2", "mode": "streaming", "load": load})
    columns = {**run_columns(definition=DEFINITION), "pipeline_version": "2"}
    template = {name: value for name, value in columns.items() if name not in _NO_TEMPLATE}
    payloads = AsyncMock(put=AsyncMock(return_value="mended"))
    accepted = await open_streams.go_on(unit, payloads, Plan(pipeline=mended, stream=STREAM), template)
    assert (accepted.run_id, accepted.window) == (first(), 1)
    run = await the_run(unit, second)
    assert (run.status, run.pipeline_version, run.plan) == (run_rows.RUNNING, "2", "mended")
    assert sent(unit, CheckSource)[-1].plan == "mended"


async def test_a_window_that_is_over_without_having_been_closed_lets_the_next_one_begin_where_it_ended(unit):
    await take(unit, answer(records=3, cursor=NEXT))
    await run_rows.change(unit, first(), status=run_rows.PARTIAL)
    await stream_windows.ended(unit, await the_run(unit, first()))
    assert await opened(unit) == [1, 2]
    assert sent(unit, ExtractSlice)[-1].cursor == NEXT


async def test_a_window_that_fails_pauses_the_others_and_one_that_is_over_lets_the_next_be_opened(unit):
    await take(unit, answer(records=10, cursor=NEXT))
    await run_rows.change(unit, first(), status=run_rows.FAILED)
    await stream_windows.ended(unit, await the_run(unit, first()))
    assert (await the_run(unit, window_run_id(STREAM, 2))).status == run_rows.PAUSED


async def compacted(unit, newest: int) -> Stream:
    stream = await streams.find(unit.connection, STREAM)
    await compact(unit, stream, newest)
    return await streams.find(unit.connection, STREAM)


async def test_old_windows_keep_their_run_alone_and_are_added_up(unit):
    await take(unit, answer(records=10, cursor=NEXT))
    came_to = {"records_processed": 10, "records_validated": 9, "cost_total": 0.5}
    await run_rows.change(unit, first(), status=run_rows.SUCCEEDED, completed_at=NOW, **came_to)
    before = await shown(unit.connection, STREAM, 5)
    assert (await compacted(unit, 1 + KEPT_WHOLE)).counted == 0
    assert await rows(unit, batches) == 1
    for _ in range(2):
        stream = await compacted(unit, 2 + KEPT_WHOLE)
        assert stream.counted == 1
        assert (stream.counted_records, stream.counted_passed, stream.counted_cost) == (10, 9, 0.5)
        assert [await rows(unit, table) for table in (batches, partitions, slices, pipeline_runs)] == [0, 1, 1, 2]
        after = await shown(unit.connection, STREAM, 5)
        assert (after.records, after.passed, after.cost) == (before.records, before.passed, before.cost) == (10, 9, 0.5)


@pytest.mark.parametrize(
    ("status", "told", "counted"),
    [
        pytest.param("succeeded", True, 3, id="over"),
        pytest.param("cancelled", True, 3, id="cancelled"),
        pytest.param("partial", True, 3, id="partial"),
        pytest.param("failed", True, 1, id="may be resumed"),
        pytest.param("succeeded", False, 1, id="its end is still to be told"),
    ],
)
async def test_no_window_is_passed_over_that_something_may_become_of(unit, status, told, counted):
    await run_rows.change(unit, first(), status=run_rows.SUCCEEDED)
    tell_by = None if told else NOW
    await add_run(unit, run_id="second", status=status, stream=STREAM, stream_window=2, tell_by=tell_by)
    await add_run(unit, run_id="third", status="succeeded", stream=STREAM, stream_window=3)
    assert (await compacted(unit, 100)).counted == counted
    resumable = await streams.open_windows(unit.connection, STREAM)
    assert [each.run_id for each in resumable] == (["second"] if status == "failed" else [])


async def test_a_window_that_was_cancelled_while_it_was_read_opens_none_when_the_answer_comes(unit):
    await completion.cancel(unit, await the_run(unit, first()))
    assert await opened(unit) == [1, 2]
    await take(unit, answer(records=10, cursor=NEXT))
    assert await opened(unit) == [1, 2]
    assert (await streams.find(unit.connection, STREAM)).cursor == START  # the next window has begun there


async def test_the_time_of_a_window_counts_from_its_first_record_however_long_its_source_was_quiet(unit):
    unit.now = NOW + dt.timedelta(hours=1)
    await take(unit, answer(records=3, cursor=NEXT))
    assert await opened(unit) == [1]
