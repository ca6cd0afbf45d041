"""A queue in this process: messages in order, handed round its consumers, given back to where they stood."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol

from loom_common.ports.bus import Wire

DELIVERY_LIMIT = 100
"""Deliveries after which a message goes to `loom.dead`: the far backstop the broker has too."""

_order = count()


@dataclass(slots=True)
class Entry:
    """A message in a queue. `order` is its place: a message that comes back stands where it stood before."""

    wire: Wire
    exchange: str
    routing_key: str
    deliveries: int = 0
    due: float = 0.0
    """When its time in a waiting room ends, on the broker's clock."""
    order: int = field(default_factory=_order.__next__)

    def __lt__(self, other: Entry) -> bool:
        return self.order < other.order


class Consumer(Protocol):
    """Who takes messages from a queue."""

    @property
    def has_room(self) -> bool:
        """Whether it may hold one more."""
        ...

    def take(self, entry: Entry) -> None:
        """Hold this message until it is acknowledged or given back."""
        ...


class MemoryQueue:
    """Messages, the consumers that take turns at them, and what to do with one that was delivered too often."""

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
        """A new message, at the end."""
        self._ready.append(entry)
        if self._consumers:
            self.pump()

    def give_back(self, entry: Entry) -> None:
        """A delivered message that was not acknowledged: before all that came after it."""
        entry.deliveries += 1
        if self._bury is not None and entry.deliveries > DELIVERY_LIMIT:
            self._bury(entry)
            return
        heapq.heappush(self._returned, entry)

    def pump(self) -> None:
        """Hand over what is ready while a consumer has room; each consumer in its turn."""
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
        """When the first message's time here ends; None for an empty room."""
        return min((line[0].due for line in (self._returned, self._ready) if line), default=None)

    def pop_due(self, now: float) -> Entry | None:
        """The first message, if its time here has ended."""
        due = self.next_due()
        return self._pop() if due is not None and due <= now else None

    def attach(self, consumer: Consumer) -> None:
        """One more consumer, last in the round."""
        self._consumers.append(consumer)
        self.pump()

    def detach(self, consumer: Consumer) -> None:
        """It takes no more. Does nothing where it is not attached."""
        if consumer in self._consumers:
            self._consumers.remove(consumer)

    def _pop(self) -> Entry:
        return heapq.heappop(self._returned) if self._returned else self._ready.popleft()
