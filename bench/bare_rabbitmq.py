"""Runs the bare loop: CSV -> three quorum queues -> Postgres, in one process, with nothing of Loom in it.

It keeps what no honest pipeline can leave out: every stage holds the records, publishes are confirmed before the
message that caused them is acknowledged, and a batch and its ledger row are one transaction."""

from __future__ import annotations

import asyncio
import csv
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import islice
from pathlib import Path
from uuid import uuid4

import aio_pika
import asyncpg
import orjson
import uvloop
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue

from bench.reviews import COLUMNS

PREFETCH = 200
HOPS = 3


async def run(amqp: str, dsn: str, path: str, table: str, batch_size: int) -> dict[str, float]:
    """Return the seconds and CPU seconds from the first record read to the last batch committed."""
    prefix = f"bare.{uuid4().hex}"
    queues = [f"{prefix}.{hop}" for hop in range(HOPS)]
    consuming, publishing = await aio_pika.connect(amqp), await aio_pika.connect(amqp)
    pool = await asyncpg.create_pool(dsn, min_size=4, max_size=4)
    async with consuming, publishing, pool:
        publisher = await publishing.channel(publisher_confirms=True)
        for name in queues:
            await publisher.declare_queue(name, durable=True, arguments={"x-queue-type": "quorum"})
        flow = _Flow(publisher, pool, table, prefix)
        for name, following in zip(queues, [*queues[1:], None], strict=True):
            await flow.consume(await consuming.channel(), name, following)
        began, cpu = time.perf_counter(), time.process_time()
        await flow.feed(path, batch_size, queues[0])
        measured = {"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu}
        await flow.close()
    return measured


class _Flow:
    def __init__(self, publisher: AbstractChannel, pool: asyncpg.Pool, table: str, run_id: str) -> None:
        self._exchange = publisher.default_exchange
        self._pool = pool
        self._table = table
        self._run_id = run_id
        self._under_way = 0
        self._ended = asyncio.Event()
        self._read_all = False
        self._failure: BaseException | None = None
        self._consumers: list[tuple[AbstractQueue, str]] = []

    async def consume(self, channel: AbstractChannel, name: str, following: str | None) -> None:
        """Pass on what arrives in a queue to the next one, or into the table."""
        await channel.set_qos(prefetch_count=PREFETCH)

        async def forward(message: AbstractIncomingMessage) -> None:
            assert following is not None
            await self._publish(following, orjson.dumps(orjson.loads(message.body)), message.message_id)
            await message.ack()

        async def load(message: AbstractIncomingMessage) -> None:
            await self._load(message)
            await message.ack()
            self._under_way -= 1
            self._see_the_end()

        queue = await channel.get_queue(name)
        tag = await queue.consume(self._watched(forward if following else load))
        self._consumers.append((queue, tag))

    async def close(self) -> None:
        """Take nothing more, and leave no queue behind."""
        for queue, tag in self._consumers:
            await queue.cancel(tag)
            await queue.delete(if_unused=False, if_empty=False)

    async def feed(self, path: str, batch_size: int, queue: str) -> None:
        """Publish the file's rows and wait until all are loaded."""
        room = asyncio.Semaphore(PREFETCH)
        async with asyncio.TaskGroup() as tasks:
            async for number, body in _batches(path, batch_size):
                await room.acquire()
                self._under_way += 1
                publishing = tasks.create_task(self._publish(queue, body, str(number)))
                publishing.add_done_callback(lambda _: room.release())
        self._read_all = True
        self._see_the_end()
        await self._ended.wait()
        if self._failure is not None:
            raise self._failure

    def _see_the_end(self) -> None:
        if self._read_all and not self._under_way:
            self._ended.set()

    async def _publish(self, queue: str, body: bytes, message_id: str | None) -> None:
        message = aio_pika.Message(body, message_id=message_id, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await self._exchange.publish(message, queue)

    async def _load(self, message: AbstractIncomingMessage) -> None:
        rows = orjson.loads(message.body)
        async with self._pool.acquire() as connection, connection.transaction():
            status = await connection.execute(
                "INSERT INTO bare_ledger (run_id, batch_id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
                self._run_id,
                message.message_id,
            )
            if status == "INSERT 0 1":
                records = [[row[name] for name in COLUMNS] for row in rows]
                await connection.copy_records_to_table(self._table, records=records, columns=COLUMNS)

    def _watched(self, handle: Callable[..., Awaitable[None]]) -> Callable[[AbstractIncomingMessage], Awaitable[None]]:
        async def watched(message: AbstractIncomingMessage) -> None:
            try:
                await handle(message)
            except Exception as error:  # noqa: BLE001 - raised again where the feed waits
                self._failure = error
                self._ended.set()

        return watched


async def _batches(path: str, batch_size: int) -> AsyncIterator[tuple[int, bytes]]:
    with Path(path).open(newline="", encoding="utf-8") as file:  # noqa: ASYNC230 - it reads from the cache
        reader = csv.DictReader(file)
        number = 0
        while rows := list(islice(reader, batch_size)):
            yield number, orjson.dumps(rows)
            number += 1


if __name__ == "__main__":
    print(json.dumps(uvloop.run(run(*sys.argv[1:5], batch_size=int(sys.argv[5])))))
