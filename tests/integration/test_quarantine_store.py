"""Quarantined records are kept once each, on SQLite and Postgres."""

import asyncio

from pydantic import SecretStr

from loom_common import flow
from loom_common.config.settings import PayloadSettings, Settings, StateSettings
from loom_common.contracts.encoding.codec import decode, encode
from loom_common.contracts.envelope import Outgoing
from loom_common.contracts.v1 import (
    RecordsKept,
)
from loom_common.flow import Binding, Exchange, Stage
from loom_common.ports.clock import SystemClock
from loom_common.service.bootstrap import open_platform
from loom_quarantine import queries
from loom_quarantine.db import store
from loom_quarantine.handler import Quarantine
from loom_quarantine.queries import RecordFilter
from loom_quarantine.service import build
from support.handling import outgoing_of
from support.quarantined import LATER, NOW, kept, listed_ids, message


async def test_what_is_kept_is_listed_with_all_its_columns(engine):
    record = kept("1", scores={"a": 0.5}, details={"position": "line 2"}, output={"label": "x"})
    await store.keep(engine, message(record), NOW)
    [row] = await queries.listing(engine, RecordFilter(), limit=10)
    shown = row.as_json()
    assert list(shown) == [
        "id", "run_id", "record_id", "record_data", "failure_stage", "failure_reason", "error_details",
        "evaluation_scores", "quarantined_at", "resolved", "resolved_at", "resolution_action",
    ]  # fmt: skip
    assert {**shown, "id": 0} == {
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


async def test_of_messages_that_are_stored_at_the_same_time_the_last_one_counts_all(engine):
    for number in range(20):
        batch = f"batch-{number}"
        early = message(kept(f"{number}a"), batch_id=batch, stage=Stage.TRANSFORM)
        late = message(kept(f"{number}b"), kept(f"{number}c"), batch_id=batch)
        assert max(await asyncio.gather(*(store.keep(engine, each, NOW) for each in (early, late)))) == 3


async def test_a_later_stage_has_the_last_word_on_a_record(engine):
    await store.keep(engine, message(kept("1"), stage=Stage.TRANSFORM), NOW)
    constraint = kept("1", outcome="quarantined", code="constraint", reason="n too large")
    assert await store.keep(engine, message(constraint, stage=Stage.LOAD), LATER) == 1
    [row] = await queries.listing(engine, RecordFilter(), limit=10)
    assert (row.failure_stage, row.failure_reason) == ("load", "n too large")


async def test_what_the_database_cannot_hold_does_not_hold_up_its_neighbours(engine):
    odd = kept("a\x00", input={"text": "x\x00", "emoji": "🧵"}, reason="r\x00")
    assert await store.keep(engine, message(odd, kept("2")), NOW) == 2
    assert {row.record_data.get("emoji") for row in await queries.listing(engine, RecordFilter(), limit=10)} == {
        "🧵",
        None,
    }


async def test_the_handler_tells_how_many_are_kept_once_they_are(engine):
    [only] = await outgoing_of(Quarantine(engine, SystemClock()).keep, message(kept("1"), kept("2")))
    assert str(only.route) == "loom.events/records.kept.p"
    assert (only.message.run_id, only.message.batch_id, only.message.kept) == ("run_1", "b1", 2)
    assert await listed_ids(engine, limit=10) == ["2", "1"]


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
