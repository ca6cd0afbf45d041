"""Implements a queue in this process: messages in order, delivered to its consumers in turn, and returned to their old
positions."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol

from loom_common.ports.bus import Wire

DELIVERY_LIMIT = 100
"""Holds the deliveries after which a message is moved to `loom.dead`, as in RabbitMQ."""

_order = count()


@dataclass(slots=True)
class Entry:
    """Describes a message in a queue. `order` is its position, which it keeps when it is returned."""

    wire: Wire
    exchange: str
    routing_key: str
    deliveries: int = 0
    due: float = 0.0
    """Says when its time in a retry queue ends, in seconds of the broker's clock."""
    order: int = field(default_factory=_order.__next__)

    def __lt__(self, other: Entry) -> bool:
        return self.order < other.order


class Consumer(Protocol):
    """Represents a consumer of a queue."""

    @property
    def has_room(self) -> bool:
        """Say whether it may hold one more message."""
        ...

    def take(self, entry: Entry) -> None:
        """Hold this message until it is acknowledged or returned."""
        ...


class MemoryQueue:
    """Holds messages, the consumers that receive them in turn, and the handling of messages that were delivered too
    often."""

    __slots__ = ("_bury", "_consumers", "_ready", "_returned", "name", "returns_to", "ttl")

    def __init__(
        self, name: str, *, ttl: float | None, returns_to: str | None, bury: Callable[[Entry], None] | None
    ) -> None:
        self.name = name
        self.ttl = ttl
        self.returns_to = returns_to
        self._bury = bury
        self._ready: deque[Entry] = deque()
        self._returned: list[Entry] = []
        self._consumers: deque[Consumer] = deque()

    def __len__(self) -> int:
        return len(self._ready) + len(self._returned)

    def push(self, entry: Entry) -> None:
        """Add a new message at the end."""
        self._ready.append(entry)
        if self._consumers:
            self.pump()

    def give_back(self, entry: Entry) -> None:
        """Return a delivered message that was not acknowledged, in front of all later ones."""
        entry.deliveries += 1
        if self._bury is not None and entry.deliveries > DELIVERY_LIMIT:
            self._bury(entry)
            return
        heapq.heappush(self._returned, entry)

    def pump(self) -> None:
        """Deliver ready messages to the consumers in turn, while one can hold more."""
        consumers = self._consumers
        refusals = 0
        while refusals < len(consumers) and (self._ready or self._returned):
            consumer = consumers[0]
            consumers.rotate(-1)
            if consumer.has_room:
                consumer.take(self._pop())
                refusals = 0
            else:
                refusals += 1

    def next_due(self) -> float | None:
        """Return when the first message's time in this queue ends; None where the queue is empty."""
        return min((line[0].due for line in (self._returned, self._ready) if line), default=None)

    def pop_due(self, now: float) -> Entry | None:
        """Remove and return the first message if its time in this queue has ended."""
        due = self.next_due()
        return self._pop() if due is not None and due <= now else None

    def attach(self, consumer: Consumer) -> None:
        """Add a consumer, last in turn."""
        self._consumers.append(consumer)
        self.pump()

    def detach(self, consumer: Consumer) -> None:
        """Remove a consumer, if it is attached."""
        if consumer in self._consumers:
            self._consumers.remove(consumer)

    def _pop(self) -> Entry:
        return heapq.heappop(self._returned) if self._returned else self._ready.popleft()
