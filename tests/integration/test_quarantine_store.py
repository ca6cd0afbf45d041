"""Quarantined records on SQLite and Postgres: kept, listed, replayed, resolved."""

import asyncio
import datetime as dt

import pytest
from pydantic import SecretStr
from sqlalchemy.engine import make_url

from loom_common import flow
from loom_common.adapters.payloads.folder import FolderPayloads
from loom_common.caching.plan_cache import PlanCache
from loom_common.config.settings import PayloadSettings, Settings, StateSettings
from loom_common.contracts.encoding.codec import decode, encode
from loom_common.contracts.envelope import Outgoing
from loom_common.contracts.v1 import (
    BatchExtracted,
    DiscardRequest,
    ExtractSlice,
    KeptRecord,
    RecordsKept,
    RecordsQuarantined,
    RunFinished,
    RunReport,
    SliceExtracted,
)
from loom_common.domain.definition.reader import parse
from loom_common.domain.run.plan import Plan
from loom_common.domain.run.plan import Replay as ReplayOf
from loom_common.errors import DependencyUnavailable, PermanentError
from loom_common.flow import Binding, Exchange, Stage
from loom_common.ports.clock import SystemClock
from loom_common.service.bootstrap import open_platform
from loom_migrations.engine import open_engine
from loom_migrations.upgrade import upgrade
from loom_quarantine import queries, resolution
from loom_quarantine.db import store
from loom_quarantine.handler import Quarantine
from loom_quarantine.queries import RecordFilter
from loom_quarantine.replays import claims
from loom_quarantine.replays.run_ends import RunEnds
from loom_quarantine.replays.source import Replay
from loom_quarantine.service import build
from support.handling import outgoing_of

NOW = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
LATER = NOW + dt.timedelta(hours=1)
ABOVE_PARAMETER_LIMITS = 40_000


@pytest.fixture(params=["sqlite", "postgres"])
def url(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/loom.db"
    return request.getfixturevalue("postgres_url")


@pytest.fixture
async def engine(url):
    engine = open_engine(url)
    await upgrade(engine)
    yield engine
    await engine.dispose()


def kept(record_id, **known):
    defaults = {"outcome": "rejected", "code": "gate", "reason": "No evaluators passed threshold"}
    return KeptRecord(**{**defaults, "record_id": record_id, "input": {"id": record_id, "n": 1.5}, **known})


def message(*records, run_id="run_1", batch_id="b1", stage=Stage.EVALUATE, pipeline="p"):
    return RecordsQuarantined(run_id=run_id, pipeline=pipeline, batch_id=batch_id, stage=stage, records=records)


async def listed_ids(engine, limit=100, **chosen):
    return [row["record_id"] for row in await queries.listing(engine, RecordFilter(**chosen), limit)]


async def test_what_is_kept_is_listed_with_all_its_columns(engine):
    record = kept("1", scores={"a": 0.5}, details={"position": "line 2"}, output={"label": "x"})
    await store.keep(engine, message(record), NOW)
    [row] = await queries.listing(engine, RecordFilter(), limit=10)
    assert list(row) == list(queries.LISTED)
    assert {**row, "id": 0} == {
        "id": 0,
        "run_id": "run_1",
        "record_id": "1",
        "record_data": {"id": "1", "n": 1.5},
        "failure_stage": "evaluate",
        "failure_reason": "No evaluators passed threshold",
        "error_details": {"position": "line 2"},
        "evaluation_scores": {"a": 0.5},
        "quarantined_at": "2026-01-02T03:04:05+00:00",
        "resolved": False,
        "resolved_at": None,
        "resolution_action": None,
    }


async def test_keeping_twice_is_once(engine):
    both = message(kept("1"), kept("2"))
    assert await store.keep(engine, both, NOW) == 2
    once = await queries.listing(engine, RecordFilter(), limit=10)
    assert await store.keep(engine, both, LATER) == 2
    assert await queries.listing(engine, RecordFilter(), limit=10) == once


async def test_the_count_is_that_of_the_batch_over_all_stages(engine):
    assert await store.keep(engine, message(kept("1"), stage=Stage.TRANSFORM), NOW) == 1
    assert await store.keep(engine, message(kept("2"), kept("3")), NOW) == 3
    assert await store.keep(engine, message(kept("9"), batch_id="b2"), NOW) == 1
    assert await store.keep(engine, message(), NOW) == 3


async def test_a_later_stage_has_the_last_word_on_a_record(engine):
    await store.keep(engine, message(kept("1"), stage=Stage.TRANSFORM), NOW)
    constraint = kept("1", outcome="quarantined", code="constraint", reason="n too large")
    assert await store.keep(engine, message(constraint, stage=Stage.LOAD), LATER) == 1
    [row] = await queries.listing(engine, RecordFilter(), limit=10)
    assert (row["failure_stage"], row["failure_reason"]) == ("load", "n too large")


async def test_what_the_database_cannot_hold_does_not_hold_up_its_neighbours(engine):
    odd = kept("a\x00", input={"text": "x\x00", "emoji": "🧵"}, reason="r\x00")
    assert await store.keep(engine, message(odd, kept("2")), NOW) == 2
    assert {row["record_data"].get("emoji") for row in await queries.listing(engine, RecordFilter(), limit=10)} == {
        "🧵",
        None,
    }


async def test_a_listing_is_by_pipeline_and_run_and_newest_first(engine):
    await store.keep(engine, message(kept("1"), kept("2")), NOW)
    await store.keep(engine, message(kept("3"), run_id="run_2", pipeline="q", batch_id="b2"), NOW)
    assert await listed_ids(engine, limit=10) == ["3", "2", "1"]
    assert await listed_ids(engine, limit=1) == ["3"]
    assert await listed_ids(engine, pipeline="p", limit=10) == ["2", "1"]
    assert await listed_ids(engine, run_id="run_2", limit=10) == ["3"]
    assert await listed_ids(engine, pipeline="p", run_id="run_2", limit=10) == []


async def test_the_handler_tells_how_many_are_kept_once_they_are(engine):
    [only] = await outgoing_of(Quarantine(engine, SystemClock()).keep, message(kept("1"), kept("2")))
    assert str(only.route) == "loom.events/records.kept.p"
    assert (only.message.run_id, only.message.batch_id, only.message.kept) == ("run_1", "b1", 2)
    assert await listed_ids(engine, limit=10) == ["2", "1"]


class Harness:
    """A replay of run_1 as run_2."""

    def __init__(self, engine, folder, record_ids=None, edits=None, **extract):
        pipeline = {
            "name": "p",
            "extract": {"source": "x.csv", "batch_size": 2, **extract},
            "transform": {"type": "passthrough"},
            "load": {"destination": "y.csv"},
        }
        replay = ReplayOf(run_id="run_1", record_ids=record_ids, edits=edits or {})
        self.plan = Plan(pipeline=parse(pipeline), replay=replay)
        self.payloads = FolderPayloads(folder)
        self.replay = Replay(PlanCache(self.payloads), engine)

    async def slice(self, number=0, cursor=None, max_batches=2, **more):
        plan = await self.payloads.put(self.plan.encoded())
        request = ExtractSlice(
            run_id="run_2",
            pipeline="p",
            plan=plan,
            epoch=1,
            partition=0,
            slice=number,
            cursor=cursor,
            max_batches=max_batches,
            **more,
        )
        outgoing = await outgoing_of(self.replay, request)
        assert isinstance(outgoing[-1].message, SliceExtracted)
        return outgoing, outgoing[-1].message


def ids_of(outgoing):
    return [
        [record.id for record in each.message.records] for each in outgoing if isinstance(each.message, BatchExtracted)
    ]


async def test_a_replay_gives_quarantined_records_as_an_extractor_does(engine, tmp_path):
    await store.keep(engine, message(*(kept(str(number)) for number in range(5))), NOW)
    harness = Harness(engine, tmp_path)
    first, fact = await harness.slice()
    assert [str(each.route) for each in first] == [*["loom.work/transform.p"] * 2, "loom.events/slice.extracted.p"]
    assert ids_of(first) == [["0", "1"], ["2", "3"]]
    assert not fact.end
    second, fact = await harness.slice(1, fact.cursor)
    assert ids_of(second) == [["4"]]
    assert fact.end
    assert second[0].message.records[0].input == {"id": "4", "n": 1.5}


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


def finished(status="succeeded", replay_of="run_1", **records):
    report = RunReport(
        run_id="run_2",
        pipeline="p",
        version="1",
        status=status,
        error=None,
        records=records,
        evaluation={},
        cost={},
        calls={},
        latency={},
        duration_seconds=1.0,
        destination="y.csv",
    )
    return RunFinished(run_id="run_2", pipeline="p", epoch=1, report=report, replay_of=replay_of)


async def test_the_end_of_a_replay_resolves_what_it_got_through(engine, tmp_path):
    await store.keep(engine, message(*(kept(str(number)) for number in range(4))), NOW)
    await Harness(engine, tmp_path, record_ids=("0", "1", "2")).slice()
    await store.keep(engine, message(kept("1"), run_id="run_2", batch_id="b2"), NOW)
    await outgoing_of(RunEnds(engine, SystemClock()), finished(extracted=3, loaded=2, rejected=1))
    rows = {row["record_id"]: row for row in await queries.listing(engine, RecordFilter(run_id="run_1"), limit=10)}
    assert {name: row["resolved"] for name, row in rows.items()} == {"0": True, "1": False, "2": True, "3": False}
    assert {row["resolution_action"] for row in rows.values() if row["resolved"]} == {"reprocessed"}
    assert all((row["resolved_at"] is not None) == row["resolved"] for row in rows.values())


async def taken(engine, run_id, of="run_1", origin=None):
    """What a replay gets that asks for all of a run's records."""
    page = await claims.page(engine, ReplayOf(run_id=of, origin=origin), run_id, None, 100)
    return [row["record_id"] for row in page.rows]


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
    assert not row["resolved"]


async def test_a_replay_of_edited_records_gives_them_out_mended_and_resolves_them_so(engine, tmp_path):
    unread = kept("1", outcome="quarantined", code="ragged_row")
    await store.keep(engine, message(unread, stage=Stage.EXTRACT), NOW)
    batch, _ = await Harness(engine, tmp_path, edits={"n": "7", "id": "one"}).slice()
    assert [record.input for record in batch[0].message.records] == [{"id": "one", "n": 7}]
    await outgoing_of(RunEnds(engine, SystemClock()), finished(extracted=1, loaded=1))
    [row] = await queries.listing(engine, RecordFilter(), limit=10)
    assert (row["resolution_action"], row["record_data"]) == ("manual_fix", {"id": "1", "n": 1.5})


async def test_what_is_discarded_stays_readable_and_is_not_replayed(engine):
    await store.keep(engine, message(kept("0"), kept("1"), kept("2")), NOW)
    await store.keep(engine, message(kept("0"), run_id="run_9"), NOW)
    discard = Quarantine(engine, SystemClock()).discard
    assert await outgoing_of(discard, DiscardRequest(run_id="run_1", record_ids=("0", "1"))) == []
    rows = {row["record_id"]: row for row in await queries.listing(engine, RecordFilter(run_id="run_1"))}
    assert {name: row["resolution_action"] for name, row in rows.items()} == {
        "0": "discarded",
        "1": "discarded",
        "2": None,
    }
    assert await taken(engine, "run_3") == ["2"]
    await outgoing_of(discard, DiscardRequest(run_id="run_1"))
    assert await listed_ids(engine, unresolved=True) == ["0"]


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


async def test_a_database_that_is_away_is_said_without_its_password():
    engine = open_engine("postgresql://loom:topsecret@127.0.0.1:1/loom")
    with pytest.raises(
        DependencyUnavailable, match=r"database postgresql.*127\.0\.0\.1:1/loom cannot be used"
    ) as raised:
        await queries.listing(engine, RecordFilter(), limit=1)
    await engine.dispose()
    assert "topsecret" not in str(raised.value)


async def test_a_refused_password_is_said_without_the_password(postgres_url):
    engine = open_engine(make_url(postgres_url).set(password="topsecret").render_as_string(hide_password=False))
    with pytest.raises(DependencyUnavailable, match="password authentication failed") as raised:
        await queries.listing(engine, RecordFilter(), limit=1)
    await engine.dispose()
    assert "topsecret" not in str(raised.value)


async def test_a_schema_that_is_not_there_yet_is_waited_for(url):
    engine = open_engine(url)
    with pytest.raises(DependencyUnavailable, match=r"quarantined_records.* and that the migrations were applied"):
        await queries.listing(engine, RecordFilter(), limit=1)
    await engine.dispose()


async def test_a_database_that_dies_and_returns_is_transient(postgres, postgres_url):
    engine = open_engine(postgres_url)
    await upgrade(engine)
    postgres.kill()
    with pytest.raises(DependencyUnavailable):
        await store.keep(engine, message(kept("1")), NOW)
    postgres.restart()
    assert await store.keep(engine, message(kept("1")), NOW) == 1
    await engine.dispose()


async def test_the_service_keeps_what_comes_and_stops_when_told(url, engine, tmp_path):
    settings = Settings(
        project_dir=tmp_path,
        state=StateSettings(url=SecretStr(url)),
        payloads=PayloadSettings(url=SecretStr("file:payloads")),
    )
    stop = asyncio.Event()
    async with open_platform(settings, "test") as platform:
        facts = await platform.bus.temporary_queue([Binding(Exchange.EVENTS, "records.kept.*")])
        told = await platform.bus.subscribe(facts, prefetch=1)
        running = asyncio.create_task(build(platform).run(stop))
        records = Outgoing(flow.quarantine(Stage.EVALUATE, "p"), message(kept("1")))
        await platform.bus.publish([encode(records, "test")])
        fact = decode(await anext(aiter(told)), RecordsKept)
        stop.set()
        await running
    assert isinstance(fact, RecordsKept)
    assert (fact.batch_id, fact.kept) == ("b1", 1)
    assert await listed_ids(engine, limit=10) == ["1"]
