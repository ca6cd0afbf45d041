"""Runs pipelines with and without the hops to stages that have nothing to do, and compares what they leave."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from loom.session import open_session
from loom_common.adapters.amqp.bus import AmqpBus
from loom_common.domain.run.tally import Tally
from loom_common.flow import Binding, Exchange
from loom_dev.waiting import within
from support.clients import ended, request_of
from support.cluster import Cluster
from support.places import Place, table
from support.projects import PASSTHROUGH, project, python, reviews

RECORDS = 60
EVERY_STAGE = {"extract", "transform", "evaluate", "load"}
CODE = """
def judged(record):
    if record["id"].endswith("3"):
        raise ValueError("cannot be judged")
    return {"stars": int(record["stars"])}
"""
GATED = {"evaluators": [{"type": "range", "name": "stars", "field": "stars", "min": 2, "threshold": 1.0}]}
SHORT = {"evaluators": [{"type": "length", "name": "short", "field": "review", "max": 18, "threshold": 1.0}]}
WAYS: Mapping[str, tuple[dict[str, Any], set[str]]] = {
    "passthrough": ({"transform": PASSTHROUGH}, {"extract", "load"}),
    "passthrough-gated": ({"transform": PASSTHROUGH, "evaluate": SHORT}, {"extract", "evaluate", "load"}),
    "python": ({"transform": python()}, {"extract", "transform", "load"}),
    "python-gated": ({"transform": python(), "evaluate": GATED}, EVERY_STAGE),
}
COUNTS = ", ".join(Tally.model_fields)


@dataclass(frozen=True)
class Left:
    """Holds what a run leaves that no hop may change."""

    status: str
    rows: list[dict[str, Any]]
    records: Mapping[str, int]
    batches: list[dict[str, Any]]
    lineage: list[Any]
    kept: list[dict[str, Any]]


def records() -> list[dict[str, str]]:
    """Return reviews of which one has no key, and one has that of the review before it."""
    rows = [dict(each) for each in reviews(RECORDS)]
    rows[7]["id"] = ""
    rows[11]["id"] = rows[10]["id"]
    return rows


async def carried_out(place: Place, name: str, sections: Mapping[str, Any]) -> tuple[Left, list[set[str]]]:
    """Run the pipeline in the place. Returns what it leaves, and the stages that told of each batch."""
    made = project(
        place.folder / name,
        records(),
        name=name,
        code=CODE,
        destination=f"${{RESULTS}}?table={name}" if place.clustered else "out.csv",
        extract={"batch_size": 10},
        **sections,
    )
    async with open_session(place.config, cluster=place.clustered) as session:
        run_id = (await session.start(request_of(made, place.config))).run_id
        finished = await ended(session, run_id)
    report = finished.report.model_dump()
    assert report["status"] == "succeeded", report["error"]

    async def asked(query: str) -> list[dict[str, Any]]:
        return await table(place, query.format(run_id))

    told = await asked("SELECT seconds FROM batches WHERE run_id = '{}'")
    [lineage] = await asked("SELECT stages FROM pipeline_lineage WHERE run_id = '{}'")
    left = Left(
        status=report["status"],
        rows=await made.loaded(place.environ),
        records=report["records"],
        batches=await asked(
            f"SELECT stage, state, {COUNTS}, kept, unread FROM batches WHERE run_id = '{{}}' ORDER BY slice, position"
        ),
        lineage=_document(lineage["stages"]),
        kept=await asked(
            "SELECT record_id, failure_stage, code, failure_reason, record_data FROM quarantined_records "
            "WHERE run_id = '{}' ORDER BY record_id"
        ),
    )
    return left, [{"extract", *_document(each["seconds"])} for each in told]


def _document(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


@pytest.mark.parametrize("way", WAYS)
async def test_embedded_it_is_the_same_with_and_without_every_hop(way, tmp_path, here, monkeypatch):
    sections, visited = WAYS[way]
    straight, told = await carried_out(here, f"straight_{way.replace('-', '_')}", sections)
    monkeypatch.setenv("LOOM_EVERY_HOP", "true")
    around, told_by_all = await carried_out(here, f"around_{way.replace('-', '_')}", sections)

    assert straight == around
    assert straight.records["loaded"] > 0
    assert [each for each in [*told, *told_by_all] if each != visited] == []


async def test_on_rabbitmq_no_message_goes_to_a_stage_without_work(cluster):
    place = Place(cluster.project, clustered=True, environ=cluster.credentials)
    straight = {}
    for way, (sections, visited) in WAYS.items():
        name = f"straight_{way.replace('-', '_')}"
        async with work_of(cluster, name) as queues:
            straight[way], told = await carried_out(place, name, sections)
        assert queues == visited
        assert [each for each in told if each != visited] == []

    async with planning_every_hop(cluster):
        for way, (sections, visited) in WAYS.items():
            name = f"around_{way.replace('-', '_')}"
            async with work_of(cluster, name) as queues:
                around, told = await carried_out(place, name, sections)
            assert around == straight[way]
            assert queues == EVERY_STAGE
            assert [each for each in told if each != visited] == []


@asynccontextmanager
async def work_of(cluster: Cluster, pipeline: str) -> AsyncIterator[set[str]]:
    """Give the stages that are sent a message of the pipeline within the block."""
    bus = await AmqpBus.connect(cluster.bus_url, name="test")
    stages: set[str] = set()

    async def listen() -> None:
        async for delivery in subscription:
            stages.add(delivery.routing_key.partition(".")[0])
            await delivery.ack()

    try:
        tap = await bus.temporary_queue([Binding(Exchange.WORK, f"*.{pipeline}")])
        subscription = await bus.subscribe(tap, prefetch=100)
        listening = asyncio.create_task(listen())
        yield stages
        async with within(30, "an empty queue"):
            while await bus.depth(tap):
                await asyncio.sleep(0.05)
        await subscription.close()
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
    finally:
        await bus.close()


@asynccontextmanager
async def planning_every_hop(cluster: Cluster) -> AsyncIterator[None]:
    """Run a coordinator that plans every hop within the block; no other service is told so."""
    await cluster.terminate("coordinator")
    cluster.begin("coordinator", {"LOOM_EVERY_HOP": "true"})
    await cluster.serve()
    try:
        yield
    finally:
        await cluster.terminate("coordinator")
        await cluster.serve()
