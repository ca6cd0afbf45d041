"""Tests what is left of the old windows of a stream."""

from __future__ import annotations

import datetime as dt

import pytest
from sqlalchemy import select

from loom_common.domain.definition.reader import parse
from loom_common.domain.run.piece import Piece
from loom_common.domain.run.tally import Tally
from loom_coordinator.db import run_rows, streams
from loom_coordinator.db.streams import Stream
from loom_coordinator.db.tables.outcomes import evaluation_results, record_answers, record_evaluations
from loom_coordinator.db.tables.runs import pipeline_runs
from loom_coordinator.db.tables.work import batches, partitions, slices
from loom_coordinator.lifecycle.partitions import begin as begin_partition
from loom_coordinator.lifecycle.streams import old_scores
from loom_coordinator.lifecycle.streams.compaction import KEPT_WHOLE, compact, is_compacted
from loom_coordinator.queries.streams.shown import shown
from support.run_rows import DEFINITION, NOW, add_run
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
    ("columns", "rows_stay", "compacted"),
    [
        pytest.param({}, False, True, id="a window whose rows are removed"),
        pytest.param({}, True, False, id="a window that has its rows"),
        pytest.param({"tally": None}, False, False, id="a window that has not ended"),
        pytest.param({"stream": None}, False, False, id="a run that is no window"),
        pytest.param({"replay_of": "w"}, False, False, id="a replay of a window"),
    ],
)
async def test_only_windows_that_have_ended_and_lost_their_rows_are_known_by_their_run_alone(
    unit, columns, rows_stay, compacted
):
    over = {"status": "succeeded", "stream": STREAM, "stream_window": 2, "tally": Tally().model_dump()}
    run = await add_run(unit, run_id="w2", **{**over, **columns})
    if rows_stay:
        await begin_partition(unit, "w2", None, Piece())
    assert await is_compacted(unit.connection, run) is compacted


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


DAY = dt.timedelta(days=1)


async def scored(unit, *, window: int, ended: dt.timedelta, **more) -> None:
    """Add a window that ended so long ago, of which one record has a score and an answer."""
    run_id = f"w{window}{'-beside' if 'canary_of' in more else ''}"
    columns = {"stream": STREAM, "stream_window": window, "completed_at": NOW - ended, "status": "succeeded", **more}
    await add_run(unit, run_id=run_id, **columns)
    here = {"run_id": run_id, "record_id": "r"}
    said = {"evaluator_name": "good", "score": 1.0, "passed": True, "evaluated_at": NOW}
    await unit.connection.execute(record_evaluations.insert(), here | said)
    await unit.connection.execute(record_answers.insert(), here | {"answered_by": "m"})


async def counted(unit, *, to: int) -> None:
    """Say that the first window ended a month ago, and that those up to `to` are added up."""
    await run_rows.change(unit, first(), status=run_rows.SUCCEEDED, completed_at=NOW - 30 * DAY)
    await streams.change(unit, STREAM, counted=to)


async def left(unit, keep_scores: str | None) -> tuple[list[str], list[str], int]:
    """Return the windows that have scores and answers after a look, and up to which they are removed."""
    window = {} if keep_scores is None else {"keep_scores": keep_scores}
    load = {"destination": "out.csv", "mode": "append"}
    pipeline = parse({**DEFINITION, "mode": "streaming", "window": {"every": "1m", **window}, "load": load})
    await old_scores.remove(unit, await streams.find(unit.connection, STREAM), pipeline)
    found = [
        list((await unit.connection.execute(select(table.c.run_id).order_by(table.c.run_id))).scalars())
        for table in (record_evaluations, record_answers)
    ]
    return *found, (await streams.find(unit.connection, STREAM)).scores_removed


@pytest.mark.parametrize(
    ("keep_scores", "stay", "removed"),
    [
        pytest.param(None, ["w2", "w3", "w4"], 0, id="always"),
        pytest.param("40d", ["w2", "w3", "w4"], 0, id="longer than the stream is old"),
        pytest.param("3d", ["w4"], 3, id="three days"),
        pytest.param("1h", ["w4"], 3, id="not those of a window that may go on"),
    ],
)
async def test_scores_of_records_are_kept_for_as_long_as_the_pipeline_says(unit, keep_scores, stay, removed):
    for window, days in ((2, 30), (3, 4), (4, 2)):
        await scored(unit, window=window, ended=days * DAY)
    await counted(unit, to=3)
    for _ in range(2):
        assert await left(unit, keep_scores) == (stay, stay, removed)


async def test_a_window_and_the_run_beside_it_lose_their_scores_together(unit):
    await scored(unit, window=2, ended=5 * DAY)
    await scored(unit, window=3, ended=4 * DAY)
    await scored(unit, window=3, ended=DAY, canary_of="w3")
    await counted(unit, to=3)
    beside = ["w3", "w3-beside"]
    assert await left(unit, "3d") == (beside, beside, 2)
    assert await left(unit, "1h") == ([], [], 3)


async def test_what_the_scores_of_a_window_came_to_stays(unit):
    await scored(unit, window=2, ended=30 * DAY)
    mean = {"run_id": "w2", "evaluator_name": "good", "evaluator_type": "code", "mean_score": 1.0, "created_at": NOW}
    await unit.connection.execute(evaluation_results.insert(), mean)
    await counted(unit, to=2)
    assert (await left(unit, "1d"))[0] == []
    assert await rows(unit, evaluation_results) == 1
