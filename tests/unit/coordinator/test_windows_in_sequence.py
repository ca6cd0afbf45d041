"""Tests the windows of a stream in which records of one key stay in sequence."""

from __future__ import annotations

import pytest

from loom_common.contracts.v1 import (
    ExtractSlice,
)
from loom_common.domain.run.piece import Piece
from loom_common.domain.values.ids import canary_run_id
from loom_coordinator.db import run_rows, streams
from loom_coordinator.flow_control.windows import Awaited
from loom_coordinator.lifecycle import partitions as partitions_of_runs
from loom_coordinator.lifecycle import slices as slices_of_runs
from loom_coordinator.lifecycle import stream_windows
from loom_coordinator.lifecycle.slices import SliceRow
from loom_coordinator.lifecycle.stream_windows import START
from support.run_rows import DEFINITION, add_run, apply, sent, the_run
from support.stream_windows import (
    NEXT,
    STREAM,
    answer,
    first,
    first_window,
    loaded,
    opened,
    take,
)


@pytest.fixture
async def unit():
    """Provide a stream whose window 1 has asked for its first slice; windows close after ten records, or a minute."""
    async with first_window() as unit:
        yield unit


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
    assert (extraction.ended, extraction.awaited, len(sent(unit, ExtractSlice))) == (False, Awaited(1), 1)
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
