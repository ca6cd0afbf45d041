"""Exactly once follows a record, not a run: a record's copies in a run and in the replays of it are one thread."""

import pytest
from sqlalchemy import text

from loom_common.contracts.v1 import KeptRecord, RecordsLoaded, RecordsQuarantined
from loom_common.flow import Stage
from loom_common.ports.clock import SystemClock
from loom_quarantine import queries, resolution
from loom_quarantine.db import store
from loom_quarantine.handler import Quarantine
from loom_quarantine.queries import RecordFilter
from support.handling import outgoing_of
from support.quarantined import NOW
from support.replays import taken


async def keep(engine, run_id, *record_ids):
    """The run keeps these records back."""
    records = tuple(
        KeptRecord(record_id=name, outcome="rejected", code="gate", reason="poor", input={"id": name})
        for name in record_ids
    )
    message = RecordsQuarantined(
        run_id=run_id, pipeline="p", batch_id=f"{run_id}-b", stage=Stage.EVALUATE, records=records
    )
    await store.keep(engine, message, NOW)


async def run_is(engine, run_id, status, reason=None):
    """Enter a replay's row of `pipeline_runs`, as far as the quarantine reads it."""
    async with engine.begin() as connection:
        await connection.execute(
            text("INSERT INTO pipelines (name, version, definition, files, base, created_at, updated_at) "
                 "VALUES ('p', '1', '{}', '{}', '', :now, :now) ON CONFLICT DO NOTHING"), {"now": NOW}
        )  # fmt: skip
        await connection.execute(
            text("INSERT INTO pipeline_runs (run_id, pipeline_name, pipeline_version, execution_date, started_at, "
                 "status, reason, plan, definition, params, destination, epoch, slice_batches, credit_window) "
                 "VALUES (:run, 'p', '1', :now, :now, :status, :reason, 'x', '{}', '{}', 'd', 1, 1, 1) "
                 "ON CONFLICT (run_id) DO UPDATE SET status = excluded.status, reason = excluded.reason"),
            {"run": run_id, "now": NOW, "status": status, "reason": reason},
        )  # fmt: skip


async def ends(engine):
    """Return how each copy of each record was resolved: `{(run, record): action}`."""
    rows = await queries.listing(engine, RecordFilter(), None)
    return {(row.run_id, row.record_id): row.resolution_action for row in rows}


async def test_what_a_replay_of_a_replay_loads_is_resolved_in_every_copy_and_not_taken_again(engine):
    await keep(engine, "run_1", "a", "b")
    for before, run_id in (("run_1", "run_2"), ("run_2", "run_3"), ("run_3", "run_4")):
        assert await taken(engine, run_id, before, "run_1") == ["a", "b"]
        if run_id != "run_4":
            await keep(engine, run_id, "a", "b")
        await run_is(engine, run_id, "succeeded")
    await resolution.replay_ended(engine, "run_4", NOW)
    assert set((await ends(engine)).values()) == {"reprocessed"}
    assert len(await ends(engine)) == 6
    for run_id in ("run_1", "run_2", "run_3"):
        assert await taken(engine, "run_5", run_id, "run_1") == []


async def test_a_record_that_is_said_to_be_loaded_is_resolved_before_its_replay_has_ended(engine):
    await keep(engine, "run_1", "a", "b")
    await taken(engine, "run_2", "run_1", edits={"n": 1})
    loaded = RecordsLoaded(run_id="run_2", batch_id="x", record_ids=("a",))
    assert await outgoing_of(Quarantine(engine, SystemClock()).resolve, loaded) == []
    assert await ends(engine) == {("run_1", "a"): "manual_fix", ("run_1", "b"): None}


async def test_a_record_that_a_resumed_run_loads_after_all_is_resolved(engine):
    await keep(engine, "run_1", "a")
    await keep(engine, "run_9", "a")
    await resolution.loaded(engine, "run_1", ["a"], NOW)
    assert await ends(engine) == {("run_1", "a"): "reprocessed", ("run_9", "a"): None}


@pytest.mark.parametrize(
    ("status", "reason", "free"),
    [
        ("running", None, []),
        ("paused", None, []),
        ("succeeded", None, ["kept again"]),
        ("partial", None, ["kept again"]),
        ("partial", "failure_limit", ["kept again", "loaded"]),
        ("failed", None, ["kept again", "loaded"]),
        ("cancelled", None, ["kept again", "loaded"]),
    ],
)
async def test_a_record_is_taken_by_one_replay_at_a_time(engine, status, reason, free):
    await keep(engine, "run_1", "kept again", "loaded")
    await run_is(engine, "run_2", "running")
    assert await taken(engine, "run_2", "run_1") == ["kept again", "loaded"]
    assert await taken(engine, "run_3", "run_1") == []
    await keep(engine, "run_2", "kept again")
    await run_is(engine, "run_2", status, reason)
    assert await taken(engine, "run_4", "run_1") == free


async def test_a_replay_reads_the_same_page_again_whatever_became_of_its_records(engine):
    await keep(engine, "run_1", "a", "b", "c")
    await run_is(engine, "run_2", "running")
    assert await taken(engine, "run_2", "run_1") == ["a", "b", "c"]
    await run_is(engine, "run_2", "cancelled")
    assert await taken(engine, "run_3", "run_1", named=("b",)) == ["b"]
    await resolution.loaded(engine, "run_3", ["b"], NOW)
    assert await taken(engine, "run_2", "run_1") == ["a", "b", "c"]
    await keep(engine, "run_2", "b")
    assert (await ends(engine))["run_2", "b"] == "reprocessed"


async def test_a_discard_holds_for_every_copy_and_gives_way_to_a_load(engine):
    await keep(engine, "run_1", "a", "b")
    await taken(engine, "run_2", "run_1")
    await keep(engine, "run_2", "a", "b")
    await run_is(engine, "run_2", "succeeded")
    await resolution.discard(engine, "run_1", ("a",), NOW)
    assert await ends(engine) == {
        ("run_1", "a"): "discarded", ("run_2", "a"): "discarded", ("run_1", "b"): None, ("run_2", "b"): None,
    }  # fmt: skip
    assert await taken(engine, "run_3", "run_2", "run_1") == ["b"]
    await resolution.loaded(engine, "run_2", ["a"], NOW)
    assert (await ends(engine))["run_1", "a"] == "reprocessed"


async def test_what_was_mended_stays_mended_when_a_later_replay_loads_it(engine):
    await keep(engine, "run_1", "a")
    await taken(engine, "run_2", "run_1", edits={"n": 1})
    await keep(engine, "run_2", "a")
    await run_is(engine, "run_2", "succeeded")
    await taken(engine, "run_3", "run_2", "run_1")
    await resolution.replay_ended(engine, "run_3", NOW)
    assert set((await ends(engine)).values()) == {"manual_fix"}


async def test_statistics_count_a_record_once_however_often_it_was_kept_back(engine):
    await keep(engine, "run_1", "a", "b")
    await taken(engine, "run_2", "run_1", named=("a",))
    await keep(engine, "run_2", "a")
    await run_is(engine, "run_2", "succeeded")
    [counted] = await queries.stats(engine, RecordFilter())
    assert (counted.records, counted.unresolved) == (2, 2)
    [of_the_first] = await queries.stats(engine, RecordFilter(run_id="run_1"))
    assert of_the_first.records == 2
    await taken(engine, "run_3", "run_2", "run_1")
    await resolution.replay_ended(engine, "run_3", NOW)
    [counted] = await queries.stats(engine, RecordFilter())
    assert (counted.unresolved, counted.reprocessed) == (1, 1)


async def test_another_run_over_the_same_source_is_another_thread(engine):
    await keep(engine, "run_1", "a")
    await taken(engine, "run_2", "run_1")
    await keep(engine, "run_9", "a")
    await resolution.replay_ended(engine, "run_2", NOW)
    assert (await ends(engine))["run_9", "a"] is None
    assert [row.run_id for row in await queries.history(engine, "a", "run_1")] == ["run_1"]
    assert [row.run_id for row in await queries.history(engine, "a")] == ["run_9"]
