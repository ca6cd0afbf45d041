"""Tests runs whose source is read ahead over a network, by an extractor that is killed: every record is loaded once,
and those of a partition stay in their order."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import groupby
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import asyncpg
import orjson
from aio_pika.abc import AbstractIncomingMessage

from loom.project.config import LoomConfig
from loom.session import open_session
from loom_dev.waiting import within
from support.books import assert_complete
from support.clients import ended, request_of
from support.projects import project
from support.proxy import Proxy
from support.queues import queues_at
from support.rest_server import TOKEN, Api, serving

ROWS, RECORDS = 3_000, 600
PAGE = 10
KILLS = 3


@asynccontextmanager
async def overheard(url: str, name: str):
    """Give the queues of a broker, and the name of one that hears all work and facts of a pipeline."""
    async with queues_at(url) as queues:
        ear = f"ear_{uuid4().hex}"
        declared = await queues.channel.declare_queue(ear)
        await declared.bind("loom.work", f"*.{name}")
        await declared.bind("loom.events", f"slice.extracted.{name}")
        yield queues, ear
        await queues.channel.queue_delete(ear)


def batches(messages: Sequence[AbstractIncomingMessage]) -> Iterator[tuple[dict[str, Any], list[str]]]:
    """Yield the header of each batch on its way to the loader, and the ids of its records."""
    for message in messages:
        if message.routing_key.startswith("load."):
            body = orjson.loads(message.body)
            if "records" in body:
                yield body["header"], [each["input"]["id"] for each in body["records"]]


def in_order(messages: Sequence[AbstractIncomingMessage]) -> dict[int, list[str]]:
    """Return the ids of each partition in the order of its batches. A batch that was published twice is the same."""
    found: dict[tuple[int, int, int], list[str]] = {}
    for header, ids in batches(messages):
        place = header["partition"], header["slice"], header["position"]
        assert found.setdefault(place, ids) == ids
    places = groupby(sorted(found), key=lambda place: place[0])
    return {partition: [each for place in mine for each in found[place]] for partition, mine in places}


@asynccontextmanager
async def table_of(url: str, name: str, ids: Sequence[str]):
    """Make a table with these ids, and give a connection to its database."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"CREATE TABLE {name} (id text PRIMARY KEY, review text)")
        await connection.copy_records_to_table(name, records=[(each, "x" * 200) for each in ids])
        yield connection
    finally:
        await connection.close()


async def test_a_table_far_away_is_read_once_and_in_order_though_its_extractor_is_killed(cluster):
    name = f"read_ahead_table_{uuid4().hex[:8]}"
    wanted = [f"r{number:05}" for number in range(ROWS)]
    made = project(
        cluster.project / name, 0, name=name, source=f"${{file:{cluster.project / 'far_away'}}}?table={name}",
        destination=f"${{RESULTS}}?table={name}_loaded", extract={"batch_size": PAGE, "partitions": 2},
    )  # fmt: skip
    config = LoomConfig.load(cluster.project / "loom.yaml")
    async with (
        table_of(cluster.state_url, name, wanted) as connection,
        Proxy(cluster.state_url) as proxy,
        overheard(cluster.bus_url, name) as (queues, ear),
    ):
        proxy.delay = 0.01
        (cluster.project / "far_away").write_text(proxy.url)
        async with cluster.scaled(loader=2), open_session(config, cluster=True) as session:
            run_id = (await session.start(request_of(made, config))).run_id
            for kill in range(1, KILLS + 1):
                async with within(60):
                    while await loaded(connection, f"{name}_loaded") < ROWS * kill // (KILLS + 2):
                        await asyncio.sleep(0.005)
                cluster.kill("extractor")
                await cluster.serve(loader=2)
            assert await loaded(connection, f"{name}_loaded") < ROWS
            async with within(60):
                report = (await ended(session, run_id)).report
        heard = in_order(await queues.take(ear))
    assert_complete(report.model_dump(), await made.loaded(cluster.credentials), wanted)
    assert report.partitions == len(heard) == 2
    assert heard[0] + heard[1] == wanted


async def test_an_api_is_read_ahead_and_each_record_is_sent_once_though_the_extractor_is_killed(cluster):
    """Without a coordinator nobody asks for another slice; what is asked of the API then is read ahead."""
    name = f"read_ahead_api_{uuid4().hex[:8]}"
    wanted = [f"o{number:04}" for number in range(RECORDS)]
    secret = cluster.project / "read_ahead_token"
    secret.write_text(TOKEN)
    auth = {"type": "bearer", "token": f"${{file:{secret}}}"}
    config = LoomConfig.load(cluster.project / "loom.yaml")
    with serving(Api([{"id": each} for each in wanted], size=PAGE)) as api:
        api.auth = "bearer"
        made = project(
            cluster.project / name, 0, name=name, source=f"{api.location}/link", destination=f"{api.location}/sink",
            extract={"batch_size": 5, "options": {"auth": auth, "pagination": "link"}},
            load={"mode": "append", "options": {"auth": auth, "batch": 5}},
        )  # fmt: skip
        async with Proxy(api.url) as proxy, overheard(cluster.bus_url, name) as (queues, ear):
            proxy.delay = 0.01
            made.say(extract={**made.definition["extract"], "source": f"rest+{proxy.url}/link"})
            async with cluster.scaled(loader=2), open_session(config, cluster=True) as session:
                run_id = (await session.start(request_of(made, config))).run_id
                await reached(api, RECORDS // 4)
                cluster.kill("coordinator")
                heard: list[AbstractIncomingMessage] = []
                async with within(30, "the answer of each slice that was asked for"):
                    while not answered(heard):
                        heard += await queues.take(ear)
                        await asyncio.sleep(0.05)
                await reached(api, len(in_order(heard)[0]) + 1)
                cluster.kill("extractor")
                await cluster.serve(loader=2)
                await reached(api, RECORDS // 2)
                cluster.kill("extractor")
                await cluster.serve(loader=2)
                async with within(60):
                    report = (await ended(session, run_id)).report
            heard += await queues.take(ear)
        assert (report.status, report.records["loaded"]) == ("succeeded", RECORDS)
        assert sorted(row["id"] for row in api.rows) == wanted
        assert in_order(heard) == {0: wanted}


async def loaded(connection: asyncpg.Connection, table: str) -> int:
    """Return the number of rows; 0 where the table is not there yet."""
    if await connection.fetchval("SELECT to_regclass($1)", table) is None:
        return 0
    return int(await connection.fetchval(f"SELECT count(*) FROM {table}"))


def furthest(api: Api) -> int:
    """Return the place of the first record on the last page that was asked for."""
    pages = (parse_qs(urlsplit(path).query) for method, path, _ in list(api.asked) if method == "GET")
    return max((int(page.get("cursor", ["0"])[0]) for page in pages), default=0)


async def reached(api: Api, place: int) -> None:
    """Wait until the API is asked for this record."""
    async with within(10, f"a page from record {place} on"):
        while furthest(api) < place:
            await asyncio.sleep(0.005)


def answered(messages: Sequence[AbstractIncomingMessage]) -> bool:
    """Tell whether each slice that was asked for is read, and its batches are published."""
    slices: dict[str | None, set[int]] = {"loom.slice.requested.v1": set(), "loom.slice.extracted.v1": set()}
    for message in messages:
        if message.type in slices:
            slices[message.type].add(orjson.loads(message.body)["slice"])
    asked, told = slices.values()
    published = {(header["slice"], header["position"]) for header, _ in batches(messages)}
    wanted = {
        (body["slice"], each["position"])
        for message in messages
        if message.type == "loom.slice.extracted.v1"
        for body in [orjson.loads(message.body)]
        for each in body["batches"]
    }
    return bool(asked) and asked == told and published == wanted
