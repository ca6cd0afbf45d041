"""Defines the port of the bus, whose durable queues have acknowledgement. RabbitMQ in a cluster, its twin in one
process.

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

from loom_common.domain.values.per_record import per_record
from loom_common.flow import Binding, Topology


@per_record
class Wire:
    """Represents a message that is published."""

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
    message: object | None = field(default=None, compare=False, repr=False)
    """The immutable message that `body` is the encoding of. A bus within one process hands it over; published there, it
    needs neither a body nor an id besides."""

    @classmethod
    def of_delivery(cls, delivery: Delivery, exchange: str, headers: Mapping[str, str | int]) -> Wire:
        """Return a delivered message as it came, to be published to `exchange` with these headers."""
        return cls(
            exchange=exchange,
            routing_key=delivery.routing_key,
            body=delivery.body,
            type=delivery.type or "",
            message_id=delivery.message_id or "",
            correlation_id=delivery.correlation_id or "",
            content_encoding=delivery.content_encoding,
            headers=headers,
            message=delivery.message,
        )


class Delivery(Protocol):
    """Represents a message that was delivered. It must be acknowledged or rejected once."""

    body: bytes
    message: object | None
    """The message that `body` is the encoding of, where the bus hands it over; None where it must be decoded."""
    exchange: str
    routing_key: str
    type: str | None
    correlation_id: str | None
    content_encoding: str | None
    reply_to: str | None
    user_id: str | None
    """Names the broker's user who published it, which the broker has checked; None where the message names none."""
    headers: Mapping[str, object]
    redelivered: bool
    deliveries: int
    """Says how often it was delivered and not acknowledged before, where the broker counts; else 0 or 1."""

    @property
    def message_id(self) -> str | None:
        """Return the id of the message."""
        ...

    async def ack(self) -> None:
        """Acknowledge the message. Where the connection broke meanwhile, nothing is raised: the message is delivered
        again."""
        ...

    async def nack(self) -> None:
        """Return the message to the queue at once."""
        ...


class Subscription(Protocol):
    """Describes an open consumer of one queue."""

    def __aiter__(self) -> AsyncIterator[Delivery]:
        """Yield deliveries until `stop`."""
        ...

    async def set_prefetch(self, prefetch: int) -> None:
        """Change the limit of unacknowledged messages. No message is lost, repeated or reordered by it."""
        ...

    async def stop(self) -> None:
        """Stop consuming. Deliveries may still be acknowledged; messages that were not yielded return to the queue."""
        ...

    async def close(self) -> None:
        """Stop, and return everything that is not acknowledged."""
        ...


@dataclass(frozen=True, slots=True)
class Consumer:
    """Describes the state of a consumer: its queue, its prefetch limit, and whether the broker delivers to it now."""

    queue: str
    prefetch: int
    active: bool


@dataclass(frozen=True, slots=True)
class QueueState:
    """Describes the state of a process's connection to its broker."""

    connected: bool
    consumers: tuple[Consumer, ...] = ()

    def consumes(self, queue: str) -> bool:
        """Say whether messages of `queue` are being consumed."""
        return self.connected and any(each.active for each in self.consumers if each.queue == queue)

    def prefetch(self, queue: str) -> int:
        """Return the most unacknowledged messages of `queue`; 0 where it is not consumed."""
        return sum(each.prefetch for each in self.consumers if each.queue == queue and each.active)


class Bus(Protocol):
    """Describes a connection to the broker, which is reopened by itself and lives as long as its process."""

    @property
    def hands_over(self) -> bool:
        """Tell whether consumers are given the message that a `Wire` holds, so that it needs no body."""
        ...

    async def declare(self, topology: Topology) -> None:
        """Create the exchanges and queues that do not exist. It may be repeated."""
        ...

    async def check(self, topology: Topology) -> None:
        """Raise `TopologyMissing`, naming every exchange and queue that does not exist."""
        ...

    async def publish(self, messages: Sequence[Wire]) -> None:
        """Publish messages and return once all are confirmed. Raises `Unroutable` and `DependencyUnavailable`."""
        ...

    async def subscribe(self, queue: str, prefetch: int) -> Subscription:
        """Consume a queue. Raises `TopologyMissing`."""
        ...

    async def temporary_queue(self, bindings: Sequence[Binding] = ()) -> str:
        """Create a queue that is deleted with this connection, for replies and for following events."""
        ...

    async def depth(self, queue: str) -> int:
        """Return the number of ready messages in a queue."""
        ...

    def standing(self) -> QueueState:
        """Return the current state from memory, without asking the broker."""
        ...

    async def close(self) -> None:
        """Close the connection. Unacknowledged messages return to their queues."""
        ...
