"""Tests quarantined records on SQLite and Postgres: listed, chosen, counted, and followed through their replays."""

import pytest

from loom_common.flow import Stage
from loom_quarantine import queries, resolution
from loom_quarantine.db import store
from loom_quarantine.queries import RecordFilter
from support.quarantined import LATER, NOW, kept, listed_ids, message
from support.replays import Harness


async def test_a_listing_is_by_pipeline_and_run_and_newest_first(engine):
    await store.keep(engine, message(kept("1"), kept("2")), NOW)
    await store.keep(engine, message(kept("3"), run_id="run_2", pipeline="q", batch_id="b2"), NOW)
    assert await listed_ids(engine, limit=10) == ["3", "2", "1"]
    assert await listed_ids(engine, limit=1) == ["3"]
    assert await listed_ids(engine, pipeline="p", limit=10) == ["2", "1"]
    assert await listed_ids(engine, run_id="run_2", limit=10) == ["3"]
    assert await listed_ids(engine, pipeline="p", run_id="run_2", limit=10) == []


@pytest.mark.parametrize(
    ("chosen", "ids"),
    [
        ({"stage": Stage.TRANSFORM}, ["t"]),
        ({"reason": "no evaluators"}, ["low", "mid"]),
        ({"reason": "100%_"}, []),
        ({"reason": "invalid_output"}, ["t"]),
        ({"evaluator": "semantic"}, ["error", "low", "mid"]),
        ({"evaluator": "semantic", "max_score": 0.4}, ["low"]),
        ({"evaluator": "semantic", "min_score": 0.2, "max_score": 0.5}, ["low", "mid"]),
        ({"evaluator": "sem'antic"}, []),
        ({"record_ids": ("t", "low")}, ["low", "t"]),
    ],
)
async def test_records_are_chosen_by_what_is_known_of_them(engine, chosen, ids):
    await store.keep(engine, message(kept("low", scores={"semantic": 0.2}), kept("mid", scores={"semantic": 0.5})), NOW)
    failed = kept(
        "error", outcome="quarantined", code="timeout", reason="Evaluator semantic: no score", scores={"a": 0.3}
    )
    await store.keep(engine, message(failed, batch_id="b2"), NOW)
    unread = kept("t", outcome="quarantined", code="invalid_output", reason="The answer is no JSON")
    await store.keep(engine, message(unread, batch_id="b3", stage=Stage.TRANSFORM), NOW)
    assert sorted(await listed_ids(engine, **chosen)) == ids


async def test_the_history_of_a_record_follows_its_replays(engine, tmp_path):
    await store.keep(engine, message(kept("0")), NOW)
    await Harness(engine, tmp_path).slice()
    await store.keep(engine, message(kept("0", attempts=3), run_id="run_2", batch_id="b2"), LATER)
    await store.keep(engine, message(kept("0"), run_id="run_7", batch_id="b3"), LATER)
    line = await queries.history(engine, "0", "run_1")
    assert [(row.run_id, row.attempts) for row in line] == [("run_2", 3), ("run_1", None)]
    assert await queries.history(engine, "0", "run_2") == line
    assert [row.run_id for row in await queries.history(engine, "0")] == ["run_7"]


async def test_statistics_count_by_cause_and_what_became_of_them(engine):
    await store.keep(engine, message(kept("0"), kept("1"), kept("2")), NOW)
    unread = kept("t", outcome="quarantined", code="invalid_output")
    await store.keep(engine, message(unread, stage=Stage.TRANSFORM, batch_id="b2"), NOW)
    await resolution.discard(engine, "run_1", ("0",), LATER)
    gate, output = await queries.stats(engine, RecordFilter(pipeline="p"))
    assert gate.code == "gate"
    assert gate.records == 3
    assert gate.unresolved == 2
    assert gate.discarded == 1
    assert (output.failure_stage, output.records, output.unresolved) == ("transform", 1, 1)
    newest = await queries.stats(engine, RecordFilter(), newest=2)
    assert sorted((each.code, each.records) for each in newest) == [("gate", 1), ("invalid_output", 1)]
