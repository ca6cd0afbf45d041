"""Tests what is left of the old windows of a stream."""

from __future__ import annotations

import pytest

from loom_coordinator.db import run_rows, streams
from loom_coordinator.db.streams import Stream
from loom_coordinator.db.tables.runs import pipeline_runs
from loom_coordinator.db.tables.work import batches, partitions, slices
from loom_coordinator.lifecycle.streams.compaction import KEPT_WHOLE, compact
from loom_coordinator.queries.streams.shown import shown
from support.run_rows import NOW, add_run
from support.stream_windows import (
    NEXT,
    STREAM,
    answer,
    first,
    first_window,
    rows,
    take,
)


@pytest.fixture
async def unit():
    """Provide a stream whose window 1 has asked for its first slice; windows close after ten records, or a minute."""
    async with first_window() as unit:
        yield unit


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


async def test_what_a_replay_of_a_window_came_to_is_not_added_to_the_stream(unit):
    await run_rows.change(unit, first(), status=run_rows.SUCCEEDED, records_processed=10)
    replayed = {"status": "succeeded", "stream": STREAM, "stream_window": 1, "replay_of": first()}
    await add_run(unit, run_id="replay", records_processed=3, records_validated=3, **replayed)
    stream = await compacted(unit, 2 + KEPT_WHOLE)
    assert (stream.counted, stream.counted_records, stream.counted_passed) == (1, 10, 0)
