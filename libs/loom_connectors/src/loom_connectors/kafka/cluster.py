"""Asks the brokers of Kafka where a topic begins and ends and how far a group is, and tells them how far Loom is.

Offsets are committed by a request of its own and not by the client that reads, because that one cannot be closed while
a commit of it is unanswered."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TypeVar

from confluent_kafka import (
    ConsumerGroupState,
    ConsumerGroupTopicPartitions,
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec

from loom_connectors.kafka.address import Address
from loom_connectors.kafka.client import Troubles, closed_aside, closing_aside, settings_of_client
from loom_connectors.kafka.errors import Unanswered

_ANSWER_SECONDS = 5.0
"""Says how long the brokers may take to answer a question. The client connects again in the meantime."""
_UNKNOWN_ID = "AAAAAAAAAAAAAAAAAAAAAA"
"""The id that a broker gives which has none: sixteen zeros."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Topic:
    """Describes a topic as the brokers know it."""

    id: str | None
    """Differs from that of a topic that had the name before; None where the brokers know none, before Kafka 2.8."""
    partitions: list[int]


class Cluster:
    """Represents what one group may ask of a topic. Every method raises `KafkaException`, `Unanswered`."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self.troubles = Troubles()
        self._client: AdminClient | None = None

    async def topic(self) -> Topic:
        """Ask the brokers for the topic: its id, where they tell it, and the numbers of its partitions."""
        name = self._address.topic
        asked = self._admin.describe_topics(TopicCollection([name]), request_timeout=_ANSWER_SECONDS)
        found = await self._answer(asked[name])
        known = str(found.topic_id)
        return Topic(None if known == _UNKNOWN_ID else known, sorted(each.id for each in found.partitions))

    async def earliest(self, partitions: Iterable[int]) -> dict[int, int]:
        """Return the offset of the first message of each partition that is still there."""
        return await self._offsets(partitions, OffsetSpec.earliest())  # type: ignore[no-untyped-call]  # it has no types

    async def latest(self, partitions: Iterable[int]) -> dict[int, int]:
        """Return the offset after the last message of each partition that may be read: those of a transaction that is
        open may not."""
        return await self._offsets(partitions, OffsetSpec.latest())  # type: ignore[no-untyped-call]  # it has no types

    async def since(self, partitions: Iterable[int], milliseconds: int) -> dict[int, int]:
        """Return the offset of the first message of each partition at or after a time, in milliseconds since 1970."""
        named = list(partitions)
        found = await self._offsets(named, OffsetSpec.for_timestamp(milliseconds))
        if later := [partition for partition, offset in found.items() if offset < 0]:
            found |= await self.latest(later)
        return found

    async def committed(self, partitions: Iterable[int]) -> dict[int, int]:
        """Return the offsets that the group has committed, of those partitions that it has any of."""
        group, name = self._address.group, self._address.topic
        wanted = ConsumerGroupTopicPartitions(group, [TopicPartition(name, each) for each in partitions])
        asked = self._admin.list_consumer_group_offsets([wanted], request_timeout=_ANSWER_SECONDS)
        found = await self._answer(asked[group])
        return {each.partition: each.offset for each in found.topic_partitions or () if each.offset >= 0}

    async def commit(self, offsets: Mapping[int, int]) -> None:
        """Tell the group that all messages before these offsets are taken."""
        group, name = self._address.group, self._address.topic
        places = [TopicPartition(name, partition, offset) for partition, offset in offsets.items()]
        asked = self._admin.alter_consumer_group_offsets(
            [ConsumerGroupTopicPartitions(group, places)], request_timeout=_ANSWER_SECONDS
        )
        answer = await self._answer(asked[group])
        for place in answer.topic_partitions or ():
            if place.error is not None:
                raise KafkaException(place.error)

    async def members(self) -> int:
        """Count the programs that read the topics of the group as its members. Loom is none."""
        group = self._address.group
        asked = self._admin.describe_consumer_groups([group], request_timeout=_ANSWER_SECONDS)
        try:
            found = await self._answer(asked[group])
        except KafkaException as error:
            if error.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND:
                return 0
            raise
        return 0 if found.state is ConsumerGroupState.DEAD else len(found.members)

    async def close(self) -> None:
        """Close the connections to the brokers, within seconds also where none answers."""
        if (held := self._let_go()) is not None:
            await closed_aside(held.clear)

    @property
    def _admin(self) -> AdminClient:
        if self._client is None:
            settings, logger = settings_of_client(self._address, self.troubles)
            self._client = AdminClient(settings, logger=logger)
        return self._client

    async def _offsets(self, partitions: Iterable[int], which: OffsetSpec) -> dict[int, int]:
        asked = self._admin.list_offsets(
            {TopicPartition(self._address.topic, each): which for each in partitions},
            isolation_level=IsolationLevel.READ_COMMITTED,
            request_timeout=_ANSWER_SECONDS,
        )
        return {place.partition: (await self._answer(future)).offset for place, future in asked.items()}

    async def _answer(self, future: Future[T]) -> T:
        """Return what the brokers answer. The client answers within its time, whatever the brokers do; where it does
        not, or the caller is cancelled, it may still do so later."""
        try:
            async with asyncio.timeout(2 * _ANSWER_SECONDS):
                return await asyncio.shield(asyncio.wrap_future(future))
        except TimeoutError:
            self._give_up()
            raise Unanswered from None
        except KafkaException as error:
            if error.args[0].code() < 0:
                self._give_up()
            raise

    def _give_up(self) -> None:
        """Have the client tell what went wrong beside the answer, and let the next question open another one: after a
        time without brokers, one of librdkafka 2.16 does not find the coordinator of its group again."""
        if self._client is not None:
            self._client.poll(0)
        if (held := self._let_go()) is not None:
            closing_aside(held.clear)

    def _let_go(self) -> list[AdminClient] | None:
        """Return the client, which nobody else holds: it is closed when it is forgotten, which may take long."""
        client, self._client = self._client, None
        return None if client is None else [client]
