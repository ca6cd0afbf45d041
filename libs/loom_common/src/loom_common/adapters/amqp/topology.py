"""Declares and checks exchanges and queues in RabbitMQ, and declares them again when they were lost."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from typing import Any

import aiormq
from aiormq.exceptions import ChannelNotFoundEntity, ChannelPreconditionFailed

from loom_common.adapters.amqp.connection import AmqpConnection
from loom_common.adapters.bus_errors import topology_missing
from loom_common.errors import ConfigurationError, LoomError
from loom_common.flow import Binding, Exchange, Queue, Topology
from loom_common.logs.logger import log

DELIVERY_LIMIT = 100
"""Holds the deliveries after which the broker moves a message to `loom.dead`, as a last protection."""
UNLIMITED = 1_000_000_000
"""The limit of `loom.dead` itself, because people list its messages as often as they like. RabbitMQ 4 would stop at
20."""


def arguments_of(queue: Queue) -> dict[str, Any]:
    """Return the arguments of a durable queue.

    Dead-lettering is `at-least-once`, which needs a quorum queue with `reject-publish` overflow. By default RabbitMQ
    drops a dead letter that cannot be delivered."""
    arguments: dict[str, Any] = {"x-queue-type": "quorum", "x-delivery-limit": DELIVERY_LIMIT}
    if queue.ttl is not None:
        arguments |= {
            "x-message-ttl": round(queue.ttl * 1000),
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": queue.returns_to,
        }
    elif all(binding.exchange != Exchange.DEAD for binding in queue.bindings):
        arguments["x-dead-letter-exchange"] = Exchange.DEAD.value
    else:
        return arguments | {"x-delivery-limit": UNLIMITED}
    return arguments | {"x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish"}


class AmqpTopology:
    """Remembers what one connection declared, so that it can declare it again."""

    def __init__(self, link: AmqpConnection, patience: float) -> None:
        self._link = link
        self._patience = patience
        self._exchanges: dict[Exchange, None] = {}
        self._queues: dict[str, Queue] = {}
        self._temporary: dict[str, tuple[Binding, ...]] = {}
        self._restoring = asyncio.Lock()
        link.on_return(self._restore_temporary)

    async def declare(self, topology: Topology) -> None:
        """Declare what does not exist. Raises `ConfigurationError` where something exists with other properties."""
        try:
            async with self._link.errand(self._patience) as channel:
                for exchange in topology.exchanges:
                    await channel.exchange_declare(exchange, exchange_type="topic", durable=True)
                for queue in topology.queues:
                    await channel.queue_declare(queue.name, durable=True, arguments=arguments_of(queue))
                    await _bind(channel, queue.name, queue.bindings)
        except ChannelPreconditionFailed as error:
            raise ConfigurationError(
                f"RabbitMQ at {self._link.place} holds something of that name with other properties: {error}. "
                "Delete it there once it is empty, or use another virtual host."
            ) from error
        self._exchanges |= dict.fromkeys(topology.exchanges)
        self._queues |= {queue.name: queue for queue in topology.queues}

    async def temporary(self, bindings: Sequence[Binding]) -> str:
        """Create a queue of this connection. Its name is chosen here, so that it can be created again under the same
        name."""
        name = f"loom.tmp.{uuid.uuid4()}"
        await self._declare_temporary(name, bindings)
        self._temporary[name] = tuple(bindings)
        return name

    async def restore(self, queue: str) -> bool:
        """Declare `queue` and everything else again. Returns False where it was not declared here."""
        async with self._restoring:
            if queue in self._temporary:
                await self._declare_temporary(queue, self._temporary[queue])
            elif queue in self._queues:
                await self.declare(Topology(tuple(self._queues.values()), tuple(self._exchanges)))
            else:
                return False
        return True

    async def _restore_temporary(self) -> None:
        """Create the temporary queues again, which were lost with the connection. Answers may be about to arrive in
        them."""
        for name in self._temporary:
            try:
                await self.restore(name)
            except LoomError as error:
                log.warning("cannot declare a temporary queue again yet", queue=name, reason=str(error))

    async def check(self, topology: Topology) -> None:
        """Raise `TopologyMissing`, naming everything that does not exist."""
        exchanges = [exchange for exchange in topology.exchanges if await self._lacks_exchange(exchange)]
        queues = [queue.name for queue in topology.queues if await self._ready(queue.name) is None]
        if exchanges or queues:
            raise topology_missing(f"RabbitMQ at {self._link.place}", exchanges, queues)

    async def depth(self, queue: str) -> int:
        """Return the number of ready messages in a queue. Raises `TopologyMissing`."""
        ready = await self._ready(queue)
        if ready is None:
            raise topology_missing(f"RabbitMQ at {self._link.place}", [], [queue])
        return ready

    async def _ready(self, queue: str) -> int | None:
        """Return the number of ready messages; None where the queue does not exist. A failed passive declare closes its
        channel."""
        try:
            async with self._link.errand(self._patience) as channel:
                return (await channel.queue_declare(queue, passive=True)).message_count or 0
        except ChannelNotFoundEntity:
            return None

    async def _lacks_exchange(self, exchange: str) -> bool:
        try:
            async with self._link.errand(self._patience) as channel:
                await channel.exchange_declare(exchange, passive=True)
        except ChannelNotFoundEntity:
            return True
        return False

    async def _declare_temporary(self, name: str, bindings: Sequence[Binding]) -> None:
        # The queue is exclusive, so it is deleted with the connection. It is not auto-delete, because a change of the
        # prefetch limit cancels the consumer before it starts another.
        try:
            async with self._link.errand(self._patience) as channel:
                await channel.queue_declare(name, exclusive=True)
                await _bind(channel, name, bindings)
        except ChannelNotFoundEntity as error:
            exchanges = [binding.exchange for binding in bindings]
            raise topology_missing(f"RabbitMQ at {self._link.place}", exchanges, []) from error


async def _bind(channel: aiormq.Channel, queue: str, bindings: Sequence[Binding]) -> None:
    for binding in bindings:
        await channel.queue_bind(queue, binding.exchange, binding.pattern)
