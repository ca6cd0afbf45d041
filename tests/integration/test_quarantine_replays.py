"""Tests quarantined records on SQLite and Postgres: replayed, resolved and discarded."""

import pytest

from loom_common.contracts.v1 import DiscardRequest, RecordsQuarantined
from loom_common.errors import PermanentError
from loom_common.flow import Stage
from loom_common.ports.clock import SystemClock
from loom_quarantine import queries, resolution
from loom_quarantine.db import store
from loom_quarantine.handler import Quarantine
from loom_quarantine.queries import RecordFilter
from loom_quarantine.replays.run_ends import RunEnds
from support.handling import outgoing_of
from support.quarantined import NOW, kept, listed_ids, message
from support.replays import Harness, finished, ids_of, taken

ABOVE_PARAMETER_LIMITS = 40_000


async def test_a_replay_gives_quarantined_records_as_an_extractor_does(engine, tmp_path):
    await store.keep(engine, message(*(kept(str(number)) for number in range(5))), NOW)
    harness = Harness(engine, tmp_path)
    first, fact = await harness.slice()
    assert [str(each.route) for each in first] == ["loom.events/slice.extracted.p", *["loom.work/transform.p"] * 2]
    assert ids_of(first) == [["0", "1"], ["2", "3"]]
    assert not fact.end
    second, fact = await harness.slice(1, fact.cursor)
    assert ids_of(second) == [["4"]]
    assert fact.end
    assert second[1].message.records[0].input == {"id": "4", "n": 1.5}


async def test_a_replay_takes_only_the_records_named(engine, tmp_path):
    await store.keep(engine, message(*(kept(str(number)) for number in range(5))), NOW)
    many = tuple(str(number) for number in range(3, ABOVE_PARAMETER_LIMITS))
    outgoing, fact = await Harness(engine, tmp_path, record_ids=many).slice()
    assert ids_of(outgoing) == [["3", "4"]]
    assert fact.end


async def test_a_replay_keeps_back_again_what_could_not_be_read_whole(engine, tmp_path):
    ragged = kept("1@line 2", outcome="quarantined", code="ragged_row", reason="3 fields, expected 2")
    await store.keep(engine, message(ragged, stage=Stage.EXTRACT), NOW)
    outgoing, fact = await Harness(engine, tmp_path).slice()
    [again] = [each.message for each in outgoing if isinstance(each.message, RecordsQuarantined)]
    assert [(record.record_id, record.code, record.reason) for record in again.records] == [
        ("1@line 2", "ragged_row", "3 fields, expected 2")
    ]
    assert ids_of(outgoing) == []
    assert fact.batches[0].tally.balanced


async def test_a_plan_that_replays_nothing_is_refused(engine, tmp_path):
    harness = Harness(engine, tmp_path)
    harness.plan = harness.plan.model_copy(update={"replay": None})
    with pytest.raises(PermanentError, match="its plan names no run to replay"):
        await harness.slice()


async def test_the_end_of_a_replay_resolves_what_it_got_through(engine, tmp_path):
    await store.keep(engine, message(*(kept(str(number)) for number in range(4))), NOW)
    await Harness(engine, tmp_path, record_ids=("0", "1", "2")).slice()
    await store.keep(engine, message(kept("1"), run_id="run_2", batch_id="b2"), NOW)
    await outgoing_of(RunEnds(engine, SystemClock()), finished(extracted=3, loaded=2, rejected=1))
    rows = {row.record_id: row for row in await queries.listing(engine, RecordFilter(run_id="run_1"), limit=10)}
    assert {name: row.resolved for name, row in rows.items()} == {"0": True, "1": False, "2": True, "3": False}
    assert {row.resolution_action for row in rows.values() if row.resolved} == {"reprocessed"}
    assert all((row.resolved_at is not None) == row.resolved for row in rows.values())


async def test_what_is_resolved_is_not_replayed_again(engine, tmp_path):
    await store.keep(engine, message(kept("0"), kept("1")), NOW)
    await Harness(engine, tmp_path, record_ids=("0",)).slice()
    assert await resolution.replay_ended(engine, "run_2", NOW) == 1
    assert await taken(engine, "run_3") == ["1"]


async def test_the_same_slice_again_is_the_same_even_after_another_replay_resolved_records(engine, tmp_path):
    await store.keep(engine, message(*(kept(str(number)) for number in range(3))), NOW)
    harness = Harness(engine, tmp_path)
    first, _ = await harness.slice()
    assert await resolution.replay_ended(engine, "run_2", NOW) == 3
    again, _ = await harness.slice()
    assert again == first


@pytest.mark.parametrize("end", [finished("cancelled", extracted=1), finished(replay_of=None, extracted=1, loaded=1)])
async def test_a_replay_cut_short_and_a_run_that_is_none_resolve_nothing(engine, tmp_path, end):
    await store.keep(engine, message(kept("0")), NOW)
    await Harness(engine, tmp_path).slice()
    assert await outgoing_of(RunEnds(engine, SystemClock()), end) == []
    [row] = await queries.listing(engine, RecordFilter(), limit=10)
    assert not row.resolved


async def test_a_replay_of_edited_records_gives_them_out_mended_and_resolves_them_so(engine, tmp_path):
    unread = kept("1", outcome="quarantined", code="ragged_row")
    await store.keep(engine, message(unread, stage=Stage.EXTRACT), NOW)
    batch, _ = await Harness(engine, tmp_path, edits={"n": "7", "id": "one"}).slice()
    assert [record.input for record in batch[1].message.records] == [{"id": "one", "n": 7}]
    await outgoing_of(RunEnds(engine, SystemClock()), finished(extracted=1, loaded=1))
    [row] = await queries.listing(engine, RecordFilter(), limit=10)
    assert (row.resolution_action, row.record_data) == ("manual_fix", {"id": "1", "n": 1.5})


async def test_what_is_discarded_stays_readable_and_is_not_replayed(engine):
    await store.keep(engine, message(kept("0"), kept("1"), kept("2")), NOW)
    await store.keep(engine, message(kept("0"), run_id="run_9"), NOW)
    discard = Quarantine(engine, SystemClock()).discard
    assert await outgoing_of(discard, DiscardRequest(run_id="run_1", record_ids=("0", "1"))) == []
    rows = {row.record_id: row for row in await queries.listing(engine, RecordFilter(run_id="run_1"))}
    assert {name: row.resolution_action for name, row in rows.items()} == {
        "0": "discarded",
        "1": "discarded",
        "2": None,
    }
    assert await taken(engine, "run_3") == ["2"]
    await outgoing_of(discard, DiscardRequest(run_id="run_1"))
    assert await listed_ids(engine, unresolved=True) == ["0"]
