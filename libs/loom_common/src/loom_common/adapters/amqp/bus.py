"""Implements the bus on RabbitMQ (3.10 and 4.x)."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import SecretStr

from loom_common.adapters.amqp.connection import AmqpConnection
from loom_common.adapters.amqp.publisher import AmqpPublisher
from loom_common.adapters.amqp.subscription import AmqpSubscription
from loom_common.adapters.amqp.topology import AmqpTopology
from loom_common.adapters.amqp.uninterrupted import uninterrupted
from loom_common.flow import Binding, Topology
from loom_common.ports.bus import Consumer, QueueState, Wire

PATIENCE = 60.0
"""The number of seconds that an operation waits for a broker that cannot be reached."""
CONNECT_WITHIN = 10.0
"""The number of seconds within which the first connection must succeed."""


class AmqpBus:
    """Implements the bus with two connections to RabbitMQ.

    Under a memory alarm RabbitMQ stops reading from a connection that publishes; acknowledgements on the same
    connection would not arrive."""

    def __init__(
        self, consuming: AmqpConnection, publishing: AmqpConnection, patience: float, *, names_user: bool = True
    ) -> None:
        self._consuming = consuming
        self._publishing = publishing
        self._patience = patience
        self._topology = AmqpTopology(consuming, patience)
        self._publisher = AmqpPublisher(publishing, patience, publishing.user if names_user else None)
        self._subscriptions: list[AmqpSubscription] = []

    @classmethod
    async def connect(
        cls,
        url: str | SecretStr,
        *,
        name: str,
        patience: float = PATIENCE,
        connect_within: float = CONNECT_WITHIN,
        names_user: bool = True,
    ) -> AmqpBus:
        """Connect to the broker at `amqp://user:password@host:port/vhost`, within `connect_within` seconds.

        The broker lists the connections under `name`. Later, an operation waits `patience` seconds for a broker that
        cannot be reached before it raises `DependencyUnavailable`. With `names_user`, requests name the user of
        `url` as their sender, and the broker refuses them where it knows the connection by another name.

        Raises `AccessRefused`, `DependencyUnavailable`, `ConfigurationError`."""
        address = url.get_secret_value() if isinstance(url, SecretStr) else url
        consuming = await AmqpConnection.open(address, name=f"{name} (consume)", patience=connect_within)
        try:
            publishing = await AmqpConnection.open(address, name=f"{name} (publish)", patience=connect_within)
        except BaseException:
            await consuming.close()
            raise
        return cls(consuming, publishing, patience, names_user=names_user)

    @property
    def hands_over(self) -> bool:
        return False

    async def declare(self, topology: Topology) -> None:
        await uninterrupted(self._topology.declare(topology))

    async def check(self, topology: Topology) -> None:
        await uninterrupted(self._topology.check(topology))

    async def publish(self, messages: Sequence[Wire]) -> None:
        await self._publisher.publish(messages)

    async def subscribe(self, queue: str, prefetch: int) -> AmqpSubscription:
        subscription = AmqpSubscription(self._consuming, queue, prefetch, self._topology.restore)
        await uninterrupted(subscription.start(self._patience), undo=lambda _: subscription.close())
        self._subscriptions = [*(each for each in self._subscriptions if not each.closed), subscription]
        return subscription

    async def temporary_queue(self, bindings: Sequence[Binding] = ()) -> str:
        return await uninterrupted(self._topology.temporary(bindings))

    async def depth(self, queue: str) -> int:
        return await uninterrupted(self._topology.depth(queue))

    def standing(self) -> QueueState:
        consumers = (Consumer(each.queue, each.prefetch, each.active) for each in self._subscriptions)
        return QueueState(self._consuming.connected and self._publishing.connected, tuple(consumers))

    async def close(self) -> None:
        for subscription in self._subscriptions:
            await subscription.close()
        await self._publishing.close()
        await self._consuming.close()
