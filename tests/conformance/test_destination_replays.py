"""Tests what every destination must do with a replayed record: load it once, whoever died or was cancelled between."""

from __future__ import annotations

from dataclasses import replace

import pytest

from loom_connectors.ports.destination import Row
from support.destinations import ADDING, MSSQL, SNOWFLAKE, batch, places, row

IN_SYSTEMS = [*(place for place in ADDING if "?table" in place[0]), (SNOWFLAKE, "append"), (MSSQL, "append")]


def replayed(*numbers, run, position=0, origin="run_0"):
    """Make a batch of a replay of `origin`; records are named by their numbers."""
    rows = [Row(f"r{number}", row(number)) for number in numbers]
    return replace(batch(position, run=run), rows=rows, origin=origin)


@places(*ADDING)
async def test_a_record_is_loaded_by_one_replay_of_its_run(at):
    await at.load(replayed(1, 2, run="run_1"))  # and this replay is cancelled before it has told anybody
    await at.finalize("run_1", complete=False)
    [result] = await at.load(replayed(2, 3, run="run_2"))
    assert (result.loaded, list(result.failed)) == (2, [])
    [nothing_new] = await at.load(replayed(1, 3, run="run_3"))
    assert nothing_new.loaded == 2
    for run in ("run_2", "run_3"):
        await at.finalize(run)
    assert await at.rows() == [row(1), row(2), row(3)]


@places(*ADDING)
async def test_a_replay_that_is_resumed_loads_its_batches_as_before(at):
    for _ in range(2):
        [result] = await at.load(replayed(1, 2, run="run_1"))
        assert result.loaded == 2
    for _ in range(2):
        await at.finalize("run_1")
    assert await at.rows() == [row(1), row(2)]


@places(*ADDING)
async def test_a_run_that_is_resumed_leaves_out_what_its_replays_loaded(at):
    await at.load(replayed(1, run="run_1"))
    await at.finalize("run_1")
    [result] = await at.load(replayed(1, 2, run="run_0"))
    assert result.loaded == 2
    await at.finalize("run_0")
    assert await at.rows() == [row(1), row(2)]


@places(*ADDING)
async def test_another_run_over_the_same_records_is_no_replay(at):
    results = await at.load(
        replayed(1, run="run_1"), replayed(1, run="run_2", origin="run_9"), batch(0, row(1), run="run_5")
    )
    for run in ("run_1", "run_2", "run_5"):
        await at.finalize(run)
    assert [result.loaded for result in results] == [1, 1, 1]
    assert await at.rows() == [row(1)] * (1 if at.mode == "upsert" else 3)  # one row per key, whoever loads it


@pytest.mark.parametrize("where", IN_SYSTEMS)
async def test_a_row_that_was_refused_can_be_loaded_by_the_next_replay(at):
    await at.make_table()
    wrong = replace(replayed(1, run="run_1"), rows=[Row("r1", row(1)), Row("r2", {"id": 2000, "text": "x"})])
    [result] = await at.load(wrong)
    assert (result.loaded, [failed.record_id for failed in result.failed]) == (1, ["r2"])
    [mended] = await at.load(replayed(1, 2, run="run_2"))
    assert mended.loaded == 2
    assert await at.rows() == [row(1), row(2)]


@pytest.mark.parametrize("where", [place for place in ADDING if "?table" not in place[0]])
async def test_a_part_that_was_promised_and_never_written_holds_nothing_up(at):
    [name] = replayed(1, run="run_1").threads
    file = at.location.partition("?")[0].rpartition("/")[2]
    at.put(f"out/{file}.loom/run_0.threads", f"{name} run_1 0-0-0-run_1-0.part\nhalf-writ")
    await at.load(replayed(1, run="run_2"))
    await at.finalize("run_2")
    assert await at.rows() == [row(1)]
