"""Makes topics at the tests' Kafka, sends messages to them, and says what consumer groups have committed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import orjson
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, IsolationLevel, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec


class Topics:
    """Represents a broker."""

    def __init__(self, url: str) -> None:
        self.settings = {"bootstrap.servers": url.partition("://")[2], "log_level": "0"}
        self.admin = AdminClient(self.settings)

    async def made(self, partitions: int = 2, name: str | None = None) -> str:
        """Make a topic, and return its name, which is new where none is given."""
        name = name or f"t{uuid4().hex[:12]}"
        made = self.admin.create_topics([NewTopic(name, partitions, 1)])
        await asyncio.wrap_future(made[name])
        return name

    async def deleted(self, topic: str) -> None:
        await asyncio.wrap_future(self.admin.delete_topics([topic])[topic])

    async def put(self, topic: str, *values: Any, partition: int | None = None, **message: Any) -> None:
        """Send messages, by turns to the partitions of the topic. What is no text or bytes is sent as JSON."""
        producer = Producer({**self.settings, "linger.ms": "0"})
        known = len(producer.list_topics(topic, timeout=10).topics[topic].partitions)
        for at, value in enumerate(values):
            body = value if value is None or isinstance(value, str | bytes) else orjson.dumps(value)
            where = at % known if partition is None else partition
            producer.produce(topic, value=body, partition=where, **message)
        assert await asyncio.to_thread(producer.flush, 20) == 0

    async def committed(self, topic: str, group: str = "loom") -> dict[int, int]:
        """Return the offsets that a group has committed."""
        wanted = [ConsumerGroupTopicPartitions(group, [TopicPartition(topic, each) for each in range(4)])]
        found = await asyncio.wrap_future(self.admin.list_consumer_group_offsets(wanted)[group])
        return {each.partition: each.offset for each in found.topic_partitions or () if each.offset >= 0}

    async def left(self, topic: str, group: str = "loom") -> int:
        """Count the messages that lie behind what a group has committed."""
        committed = await self.committed(topic, group)
        places = {TopicPartition(topic, each): OffsetSpec.latest() for each in committed}
        ends = self.admin.list_offsets(places, isolation_level=IsolationLevel.READ_UNCOMMITTED)
        return sum([(await asyncio.wrap_future(ends[at])).offset - committed[at.partition] for at in places])


@asynccontextmanager
async def member_of(topics: Topics, topic: str, group: str) -> AsyncIterator[None]:
    """Give another program that reads a topic as a member of a group."""
    consumer = Consumer({**topics.settings, "group.id": group, "auto.offset.reset": "earliest"})
    try:
        consumer.subscribe([topic])
        async with asyncio.timeout(30):
            while not consumer.assignment():
                await asyncio.to_thread(consumer.poll, 0.2)
        yield
    finally:
        await asyncio.to_thread(consumer.close)


def tickets(numbers: Iterable[int]) -> list[dict[str, Any]]:
    """Return the value of a message for each number."""
    return [{"id": f"t{n:05}", "text": f"Ticket {n}"} for n in numbers]
