"""Puts messages into queues of the tests' RabbitMQ, and takes them out again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aio_pika
import orjson
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage


@dataclass(frozen=True)
class Queues:
    """Represents a virtual host of the test's own."""

    channel: AbstractChannel

    async def declare(self, name: str, **arguments: Any) -> None:
        await self.channel.declare_queue(name, durable=True, arguments=arguments)

    async def declare_exchange(self, name: str, **bound: str) -> None:
        """Declare a topic exchange, and queues that are `bound` by a pattern each."""
        exchange = await self.channel.declare_exchange(name, aio_pika.ExchangeType.TOPIC, durable=True)
        for queue, pattern in bound.items():
            await (await self.channel.declare_queue(queue, durable=True)).bind(exchange, pattern)

    async def put(self, queue: str, *messages: aio_pika.Message) -> None:
        for message in messages:
            await self.channel.default_exchange.publish(message, queue)

    async def depth(self, queue: str) -> int:
        """Return the number of messages that no consumer holds."""
        declared = await self.channel.declare_queue(queue, passive=True)
        return declared.declaration_result.message_count or 0

    async def take(self, queue: str) -> list[AbstractIncomingMessage]:
        """Take every message out of a queue."""
        declared = await self.channel.declare_queue(queue, passive=True)
        found = []
        while (message := await declared.get(no_ack=True, fail=False)) is not None:
            found.append(message)
        return found


@asynccontextmanager
async def queues_at(url: str) -> AsyncIterator[Queues]:
    """Connect to a virtual host."""
    async with await aio_pika.connect(url) as connection:
        yield Queues(await connection.channel())


def message(body: Any, message_id: str | None = None, **properties: Any) -> aio_pika.Message:
    """Return a message whose body is bytes, or the JSON of something else."""
    if not isinstance(body, bytes):
        body = orjson.dumps(body)
        properties.setdefault("content_type", "application/json")
    return aio_pika.Message(body, message_id=message_id, delivery_mode=2, **properties)


def reviews(numbers: Iterable[int]) -> list[aio_pika.Message]:
    """Return a message for each number, with an id of its own."""
    return [message({"id": f"r{n:06}", "review": f"Review {n}", "stars": "3"}, f"m{n}") for n in numbers]
