"""The bus: durable queues with acknowledgement. RabbitMQ in a cluster, its twin in one process.

The contract, which one conformance suite holds both to:

- A queue gives its messages in order; what is not acknowledged comes back, marked `redelivered`, when its
  consumer is gone or rejects it.
- `publish` returns when the broker has taken responsibility for every message, and raises `Unroutable` if a
  mandatory one reached no queue.
- A subscription never holds more than `prefetch` unacknowledged messages.
- A queue with a time-to-live gives its messages back to the queue it `returns_to`, after that time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from loom_common.flow import Binding, Topology


@dataclass(frozen=True, slots=True)
class Wire:
    """A message as it goes to the broker."""

    exchange: str
    routing_key: str
    body: bytes
    type: str = ""
    message_id: str = ""
    correlation_id: str = ""
    content_type: str = "application/json"
    content_encoding: str | None = None
    reply_to: str | None = None
    app_id: str = "loom"
    headers: Mapping[str, str | int] = field(default_factory=dict)
    mandatory: bool = True


class Delivery(Protocol):
    """A message as it comes from the broker; to be acknowledged, or rejected, once."""

    body: bytes
    exchange: str
    routing_key: str
    type: str | None
    message_id: str | None
    correlation_id: str | None
    content_encoding: str | None
    reply_to: str | None
    headers: Mapping[str, object]
    redelivered: bool
    deliveries: int
    """How often it was delivered before and not acknowledged, where the broker counts; else 0 or 1."""

    async def ack(self) -> None:
        """Done with it. A lost lease (the connection broke meanwhile) is no error: it will come again."""
        ...

    async def nack(self) -> None:
        """Back to the queue, at once."""
        ...


class Subscription(Protocol):
    """An open consumer of one queue."""

    def __aiter__(self) -> AsyncIterator[Delivery]:
        """Deliveries as they come, until `stop`."""
        ...

    async def set_prefetch(self, prefetch: int) -> None:
        """Hold at most so many unacknowledged messages from now on. Nothing is lost, repeated or overtaken."""
        ...

    async def stop(self) -> None:
        """Take no more. What was delivered may still be acknowledged; what was not yet handed out goes back."""
        ...

    async def close(self) -> None:
        """Stop, and give back everything that is not acknowledged."""
        ...


@dataclass(frozen=True, slots=True)
class Consumer:
    """A subscription as it stands: its queue, its limit, and whether the broker gives to it just now."""

    queue: str
    prefetch: int
    active: bool


@dataclass(frozen=True, slots=True)
class QueueState:
    """How a process stands with its broker."""

    connected: bool
    consumers: tuple[Consumer, ...] = ()

    def consumes(self, queue: str) -> bool:
        """Whether messages of `queue` are being taken."""
        return self.connected and any(each.active for each in self.consumers if each.queue == queue)

    def prefetch(self, queue: str) -> int:
        """Messages of `queue` in hand at most; 0 where it is not consumed."""
        return sum(each.prefetch for each in self.consumers if each.queue == queue and each.active)


class Bus(Protocol):
    """A connection to the broker. Lives as long as its process; comes back by itself when the broker does."""

    async def declare(self, topology: Topology) -> None:
        """Make what is not there. Idempotent."""
        ...

    async def check(self, topology: Topology) -> None:
        """Raise `TopologyMissing`, naming everything that is not there."""
        ...

    async def publish(self, messages: Sequence[Wire]) -> None:
        """Hand over messages; return once all are confirmed. Raises `Unroutable`, `DependencyUnavailable`."""
        ...

    async def subscribe(self, queue: str, prefetch: int) -> Subscription:
        """Consume a queue. Raises `TopologyMissing`."""
        ...

    async def temporary_queue(self, bindings: Sequence[Binding] = ()) -> str:
        """A queue of this connection's own that is gone with it: for replies and for following events."""
        ...

    async def depth(self, queue: str) -> int:
        """Messages ready in a queue."""
        ...

    def standing(self) -> QueueState:
        """How it is just now, from memory: the broker is not asked."""
        ...

    async def close(self) -> None:
        """Close. Unacknowledged deliveries go back to their queues."""
        ...
