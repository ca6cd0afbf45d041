"""Provides a bus that passes everything on to another, for subclasses that change a part of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from loom_common.flow import Binding, Topology
from loom_common.ports.bus import Bus, Delivery, QueueState, Subscription, Wire


class WrappedBus:
    """Passes everything on to another bus."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    @property
    def hands_over(self) -> bool:
        return self._bus.hands_over

    async def publish(self, messages: Sequence[Wire]) -> None:
        await self._bus.publish(messages)

    async def subscribe(self, queue: str, prefetch: int) -> Subscription:
        return await self._bus.subscribe(queue, prefetch)

    async def declare(self, topology: Topology) -> None:
        await self._bus.declare(topology)

    async def check(self, topology: Topology) -> None:
        await self._bus.check(topology)

    async def temporary_queue(self, bindings: Sequence[Binding] = ()) -> str:
        return await self._bus.temporary_queue(bindings)

    async def depth(self, queue: str) -> int:
        return await self._bus.depth(queue)

    def standing(self) -> QueueState:
        return self._bus.standing()

    async def close(self) -> None:
        await self._bus.close()


class WrappedSubscription:
    """Passes everything on to another subscription."""

    def __init__(self, subscription: Subscription) -> None:
        self._subscription = subscription

    async def __aiter__(self) -> AsyncIterator[Delivery]:
        async for delivery in self._subscription:
            yield delivery

    async def set_prefetch(self, prefetch: int) -> None:
        await self._subscription.set_prefetch(prefetch)

    async def stop(self) -> None:
        await self._subscription.stop()

    async def close(self) -> None:
        await self._subscription.close()
