"""Implements the bus within one process, with the same contract as RabbitMQ."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence

from loom_common.adapters.bus_errors import unroutable
from loom_common.adapters.memory.broker import MemoryBroker
from loom_common.adapters.memory.subscription import MemorySubscription
from loom_common.flow import Binding, Queue, Topology
from loom_common.ports.bus import Consumer, QueueState, Wire
from loom_common.ports.clock import Clock


class MemoryBus:
    """Represents a connection to a broker in this process.

    Buses with the same `MemoryBroker` exchange messages. Without one, the bus has a broker of its own, whose messages
    end with the process; `clock` times its retry queues."""

    def __init__(self, broker: MemoryBroker | None = None, *, clock: Clock | None = None) -> None:
        self._broker = broker or MemoryBroker(clock)
        self._subscriptions: list[MemorySubscription] = []
        self._temporary: list[str] = []
        self._closed = False
        self._broker.connect()

    @property
    def hands_over(self) -> bool:
        return True

    async def declare(self, topology: Topology) -> None:
        self._broker.declare(topology)

    async def check(self, topology: Topology) -> None:
        self._broker.check(topology)

    async def publish(self, messages: Sequence[Wire]) -> None:
        broker = self._broker
        lost = [(wire.exchange, wire.routing_key) for wire in messages if not broker.publish(wire) and wire.mandatory]
        await asyncio.sleep(0)  # a loop that only publishes and consumes must not block the rest of the process
        if lost:
            raise unroutable(lost)

    async def subscribe(self, queue: str, prefetch: int) -> MemorySubscription:
        subscription = MemorySubscription(self._broker.queue(queue), prefetch)
        self._subscriptions = [*(each for each in self._subscriptions if not each.closed), subscription]
        return subscription

    async def temporary_queue(self, bindings: Sequence[Binding] = ()) -> str:
        name = f"loom.tmp.{uuid.uuid4()}"
        self._broker.add_queue(Queue(name, tuple(bindings)))
        self._temporary.append(name)
        return name

    async def depth(self, queue: str) -> int:
        return len(self._broker.queue(queue))

    def standing(self) -> QueueState:
        consumers = (Consumer(each.queue, each.prefetch, each.active) for each in self._subscriptions)
        return QueueState(not self._closed, tuple(consumers))

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        for subscription in self._subscriptions:
            await subscription.close()
        self._broker.disconnect(self._temporary)
