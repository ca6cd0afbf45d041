"""Tests the windows of a stream: when they close, and what the next one begins with."""

from __future__ import annotations

import datetime as dt
from unittest.mock import AsyncMock

import pytest

from loom_common.contracts.v1 import (
    CheckDestination,
    CheckSource,
    ExtractSlice,
    RunCommand,
)
from loom_common.domain.definition.reader import parse
from loom_common.domain.run.piece import Piece
from loom_common.domain.run.plan import Plan
from loom_common.domain.values.ids import window_run_id
from loom_common.errors import ConfigurationError
from loom_coordinator.db import run_rows, streams
from loom_coordinator.db.tables.work import slices
from loom_coordinator.intake import open_streams, stream_commands
from loom_coordinator.lifecycle import completion, stream_windows
from loom_coordinator.lifecycle import slices as slices_of_runs
from loom_coordinator.lifecycle.stream_windows import MOST_OPEN, START
from support.run_rows import DEFINITION, NOW, add_run, run_columns, sent, the_run
from support.stream_windows import (
    NEXT,
    NO_TEMPLATE,
    STREAM,
    answer,
    first,
    first_window,
    opened,
    rows,
    take,
)


@pytest.fixture
async def unit():
    """Provide a stream whose window 1 has asked for its first slice; windows close after ten records, or a minute."""
    async with first_window() as unit:
        yield unit


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
    template = {name: value for name, value in columns.items() if name not in NO_TEMPLATE}
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
