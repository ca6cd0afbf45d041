"""Implements deliveries and subscriptions of the in-process bus."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

from loom_common.adapters.bus_errors import at_least_one
from loom_common.adapters.memory.queue import Entry, MemoryQueue
from loom_common.contracts.envelope import Message


class MemoryDelivery:
    """Represents a message that was delivered to a consumer."""

    __slots__ = (
        "_entry",
        "_message_id",
        "_subscription",
        "body",
        "content_encoding",
        "correlation_id",
        "deliveries",
        "exchange",
        "headers",
        "message",
        "redelivered",
        "reply_to",
        "routing_key",
        "type",
        "user_id",
    )

    def __init__(self, subscription: MemorySubscription, entry: Entry) -> None:
        wire = entry.wire
        self._subscription = subscription
        self._entry = entry
        self._message_id = wire.message_id
        self.body = wire.body
        self.message = wire.message
        self.exchange = entry.exchange
        self.routing_key = entry.routing_key
        self.type: str | None = wire.type or None
        self.correlation_id: str | None = wire.correlation_id or None
        self.content_encoding = wire.content_encoding
        self.reply_to = wire.reply_to
        self.user_id: str | None = None
        self.headers: Mapping[str, object] = wire.headers
        self.deliveries = entry.deliveries
        self.redelivered = entry.deliveries > 0

    @property
    def message_id(self) -> str | None:
        """Return the id of the message, which one that is handed over tells itself."""
        if not self._message_id and isinstance(self.message, Message):
            self._message_id = self.message.message_id
        return self._message_id or None

    async def ack(self) -> None:
        self._subscription.settle(self._entry)

    async def nack(self) -> None:
        self._subscription.give_back((self._entry,))


class MemorySubscription:
    """Represents a consumer of one queue."""

    def __init__(self, queue: MemoryQueue, prefetch: int) -> None:
        self._queue = queue
        self._prefetch = at_least_one(prefetch)
        self._held: dict[int, Entry] = {}
        """Unacknowledged messages by order, including those in `_arrived`."""
        self._arrived: asyncio.Queue[Entry | None] = asyncio.Queue()
        self._stopped = False
        self.closed = False
        queue.attach(self)

    @property
    def queue(self) -> str:
        return self._queue.name

    @property
    def prefetch(self) -> int:
        return self._prefetch

    @property
    def active(self) -> bool:
        return not self._stopped

    @property
    def has_room(self) -> bool:
        return len(self._held) < self._prefetch

    def take(self, entry: Entry) -> None:
        """Receive a message from the queue and hold it until it is asked for."""
        self._held[entry.order] = entry
        self._arrived.put_nowait(entry)

    def settle(self, entry: Entry) -> None:
        """Acknowledge a message. Nothing happens where it was returned to the queue meanwhile."""
        if self._held.pop(entry.order, None) is not None:
            self._queue.pump()

    def give_back(self, entries: tuple[Entry, ...]) -> None:
        """Return messages to their old positions in the queue."""
        for entry in entries:
            if self._held.pop(entry.order, None) is not None:
                self._queue.give_back(entry)
        self._queue.pump()

    def __aiter__(self) -> AsyncIterator[MemoryDelivery]:
        return self

    async def __anext__(self) -> MemoryDelivery:
        entry = await self._arrived.get()
        if entry is None:
            self._arrived.put_nowait(None)
            raise StopAsyncIteration
        return MemoryDelivery(self, entry)

    async def set_prefetch(self, prefetch: int) -> None:
        self._prefetch = at_least_one(prefetch)
        self._queue.pump()

    async def stop(self) -> None:
        if self._stopped:
            return
        self._stopped = True
        self._queue.detach(self)
        waiting = []
        while not self._arrived.empty():
            entry = self._arrived.get_nowait()
            if entry is not None:
                waiting.append(entry)
        self.give_back(tuple(waiting))
        self._arrived.put_nowait(None)

    async def close(self) -> None:
        await self.stop()
        self.closed = True
        self.give_back(tuple(self._held.values()))
