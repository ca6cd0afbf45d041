"""Reads the partitions of a topic from given offsets, in threads, because the client blocks."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from loom_connectors.kafka.address import Address
from loom_connectors.kafka.client import Troubles, closed_aside, settings_of_client
from loom_connectors.kafka.errors import PASSING
from loom_connectors.kafka.messages import KafkaMessage

_HELD_KB = 16 * 1024
"""The most that the client reads ahead, for all partitions together."""


class Reader:
    """Represents a client that reads, and says for each partition where it stands. It is opened when it is first asked,
    and again after it was dropped. Every method raises `KafkaException`."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self.troubles = Troubles()
        self._consumer: Consumer | None = None
        self._lock = threading.Lock()
        self.at: dict[int, int] | None = None
        """Holds the offset that is read next, by partition; None where that is not known."""
        self._taken: dict[int, int] = {}
        """Holds the offset after the last message that was given, by partition: where none follows, a place beside
        `at`."""
        self.outside: set[int] = set()
        """Holds partitions that do not have the offset that they were to be read from."""

    async def begin(self, offsets: Mapping[int, int]) -> None:
        """Read from these offsets on, unless it stands there already."""
        if self.at is not None and not self.outside:
            standing = (offsets.items() <= each.items() for each in (self.at, self._taken))
            if any(standing):
                return
        self.at = None
        await asyncio.to_thread(self._assign, dict(offsets))
        self.at, self._taken, self.outside = dict(offsets), dict(offsets), set()

    async def take(self, most: int, seconds: float) -> list[KafkaMessage]:
        """Return messages, as soon as there are so many, or after so many seconds those that came."""
        before, self.at = self.at, None  # a caller that is cancelled leaves messages that nobody got
        assert before is not None, "whoever takes has begun"
        given = await asyncio.to_thread(self._consume, most, seconds)
        found: list[KafkaMessage] = []
        for each in given:
            error = each.error()
            if error is None:
                message = KafkaMessage.of(each)
                before[message.partition] = self._taken[message.partition] = message.offset + 1
                found.append(message)
            else:
                self._take_note(each, error, before, some=bool(found))
        self.at = before
        return found

    async def close(self) -> None:
        """Close the connections to the brokers, within seconds also where none answers."""
        consumer, self._consumer, self.at = self._consumer, None, None
        if consumer is None:
            return
        lock, self._lock = self._lock, threading.Lock()

        def close() -> None:
            with lock:
                consumer.close()

        await closed_aside(close)

    def _take_note(self, event: Message, error: KafkaError, at: dict[int, int], *, some: bool) -> None:
        partition, offset = event.partition(), event.offset()
        match error.code():
            case KafkaError._PARTITION_EOF if partition is not None and offset is not None:
                # Offsets that hold no message, as those of markers of transactions, are passed over.
                at[partition] = max(at.get(partition, 0), offset)
            case KafkaError._AUTO_OFFSET_RESET if partition is not None:
                self.outside.add(partition)
            case code if code in PASSING or error.retriable() or some:
                self.troubles.note(error)
            case _:
                raise KafkaException(error)

    def _assign(self, offsets: dict[int, int]) -> None:
        with self._lock:
            if self._consumer is None:
                self._consumer = self._opened()
            self._consumer.assign([TopicPartition(self._address.topic, *place) for place in offsets.items()])

    def _consume(self, most: int, seconds: float) -> list[Message]:
        with self._lock:
            assert self._consumer is not None, "whoever takes has begun"
            return self._consumer.consume(most, seconds)

    def _opened(self) -> Consumer:
        settings, logger = settings_of_client(self._address, self.troubles)
        settings |= {
            "group.id": self._address.group,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            "queued.max.messages.kbytes": _HELD_KB,
        }
        return Consumer(settings, logger=logger)
