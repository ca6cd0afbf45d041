"""Measures how long a record of a stream on a cluster takes, from its arrival in a queue to its row in Postgres.

The six services are processes of their own, one replica of each, over a private broker and database. Sender and reader
are this process, as in `bench.streams`, which prints the table."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aio_pika
import asyncpg

from bench.cpu import Meter
from bench.distributed import Servers, cluster
from bench.pipeline import DATABASE
from bench.result import BenchError
from loom_dev.waiting import INTERVAL

_OPEN_SECONDS = 60.0
_LOOK_SECONDS = 0.01
_QUIET_SECONDS = 60.0
"""Says after how long without a row a measurement is given up."""
_OVERTAKEN = 2000
"""The most rows that others of later transactions overtake."""

Send = Callable[[Any, int, int], Awaitable[None]]
"""Publishes on a channel records from a first number on, so many."""


@dataclass(frozen=True, slots=True)
class Place:
    """Holds the addresses of a cluster, and the ids of its processes by the name of their service."""

    amqp: str
    dsn: str
    pids: Mapping[str, int]


@asynccontextmanager
async def serving(servers: Servers, folder: Path, extractors: int) -> AsyncIterator[Place]:
    """Run a cluster with so many extractors."""
    await asyncio.to_thread(folder.mkdir)
    with servers.rabbitmq.vhost() as amqp:
        async with servers.postgres.database() as dsn:
            os.environ["BENCH_BROKER"] = amqp
            async with cluster(amqp, dsn, folder, every_hop=False, extractors=extractors) as services:
                yield Place(amqp, dsn, {**servers.pids, **services})


def clustered(definition: Mapping[str, Any], table: str) -> dict[str, Any]:
    """Return a stream that loads into a table of the private database, under a name of its own."""
    load = {"destination": f"{DATABASE}?table={table}", "mode": "append"}
    return {**definition, "name": table, "load": load}


async def taken_by(
    place: Place, definition: Mapping[str, Any], queue: str, send: Send, warm: int, count: int
) -> tuple[list[float], dict[str, float]]:
    """Let `warm` records arrive, and then `count` of them. Return the seconds that each of the latter took, and the CPU
    seconds of each process meanwhile."""
    table = str(definition["name"])
    async with await aio_pika.connect(place.amqp) as connection, await connection.channel() as channel:
        await (await channel.declare_queue(queue, durable=True)).purge()
        async with _connected(place.dsn) as database:
            await database.execute(f"CREATE TABLE {table} (seq BIGSERIAL, id TEXT, sent TEXT, customer BIGINT)")
            stream = await _opened(channel, database, definition)
            await send(channel, 0, warm)
            seen = Seen(database, table)
            await seen.until(warm)
            meter, before = Meter({**place.pids, "sender and reader": os.getpid()}), len(seen.taken)
            await asyncio.gather(send(channel, warm, count), seen.until(warm + count))
            used = meter.used()
        runs = await channel.get_exchange("loom.runs", ensure=False)
        await runs.publish(aio_pika.Message(json.dumps({"run_id": stream}).encode()), "run.cancel")
    return seen.taken[before:], used


class Seen:
    """Looks for rows that are new in a table."""

    def __init__(self, database: asyncpg.Connection[Any], table: str) -> None:
        self.taken: list[float] = []
        """Holds the seconds from when a record was sent to when its row was seen."""
        self._database = database
        self._query = f"SELECT seq, sent FROM {table} WHERE seq > $1"
        self._known: set[int] = set()
        self._last = 0
        self._whole = 0
        """The number up to which every row was seen."""

    async def until(self, count: int) -> None:
        """Look until there are so many. Transactions end in another order than they begin in, so that rows may appear
        a little below the newest one. Raises `BenchError` where none has come for long."""
        heard = time.monotonic()
        while len(self.taken) < count:
            if time.monotonic() - heard > _QUIET_SECONDS:
                raise BenchError(f"{len(self.taken)} of {count} rows are there, and no more come: see the log above")
            await asyncio.sleep(_LOOK_SECONDS)
            rows = await self._database.fetch(self._query, max(self._whole, self._last - _OVERTAKEN))
            now = time.time()
            for seq, sent in rows:
                if seq not in self._known:
                    self._known.add(seq)
                    self.taken.append(now - float(sent))
                    self._last = max(self._last, seq)
                    heard = time.monotonic()
            while self._whole + 1 in self._known:
                self._whole += 1


async def _opened(channel: Any, database: asyncpg.Connection[Any], definition: Mapping[str, Any]) -> str:
    """Publish the request for a stream, wait until it asks for its first slice, and return its id. Raises
    `BenchError`."""
    runs = await channel.get_exchange("loom.runs", ensure=False)
    await runs.publish(aio_pika.Message(json.dumps({"definition": definition}).encode()), "run.request")
    asked = (
        "SELECT r.stream FROM pipeline_runs r JOIN slices s USING (run_id) WHERE r.pipeline_name = $1 AND s.slice >= 0"
    )
    deadline = time.monotonic() + _OPEN_SECONDS
    while (stream := await database.fetchval(asked, definition["name"])) is None:
        if time.monotonic() > deadline:
            raise BenchError(f"the stream asked for nothing within {_OPEN_SECONDS:g} s")
        await asyncio.sleep(INTERVAL)
    return str(stream)


@asynccontextmanager
async def _connected(dsn: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    database = await asyncpg.connect(dsn)
    try:
        yield database
    finally:
        await database.close()
