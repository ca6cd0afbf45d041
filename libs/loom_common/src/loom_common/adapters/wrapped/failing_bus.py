"""Provides a bus with failpoints at publishing and acknowledging, for tests of what a crash leaves behind.

Heartbeats are not counted, so that the n-th time is the same in every run."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence

from loom_common.adapters.wrapped.wrapped_bus import WrappedBus, WrappedSubscription
from loom_common.flow import Exchange
from loom_common.ports.bus import Delivery, Subscription, Wire
from loom_common.resilience.failpoints import action_at, armed, reach


class FailingBus(WrappedBus):
    """Wraps a bus with failpoints."""

    async def publish(self, messages: Sequence[Wire]) -> None:
        if not any(message.mandatory for message in messages):
            await self._bus.publish(messages)
            return
        await reach("before_publish")
        if action_at("before_publish") == "twice":
            messages = random.sample([*messages, *messages], k=2 * len(messages))
        if armed("mid_publish"):
            messages = await self._halfway(messages)
        await self._bus.publish(messages)
        await reach("after_confirm")

    async def _halfway(self, messages: Sequence[Wire]) -> Sequence[Wire]:
        """Publish half of the messages with confirms, and the failpoint may act before the rest. Returns what is left
        to publish."""
        done = len(messages) // 2
        if done:
            await self._bus.publish(messages[:done])
        rest = asyncio.create_task(self._bus.publish(messages[done:]))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await reach("mid_publish")
        await rest
        return ()

    async def subscribe(self, queue: str, prefetch: int) -> Subscription:
        return _FailingSubscription(await self._bus.subscribe(queue, prefetch))


class _FailingSubscription(WrappedSubscription):
    """Yields deliveries that have failpoints at their acknowledgement."""

    async def __aiter__(self) -> AsyncIterator[Delivery]:
        async for delivery in self._subscription:
            counted = delivery.exchange != Exchange.CONTROL and not delivery.routing_key.startswith("worker.")
            yield _FailingDelivery(delivery) if counted else delivery


class _FailingDelivery:
    """Wraps a delivery with failpoints."""

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery
        self.body = delivery.body
        self.message = delivery.message
        self.exchange = delivery.exchange
        self.routing_key = delivery.routing_key
        self.type = delivery.type
        self.message_id = delivery.message_id
        self.correlation_id = delivery.correlation_id
        self.content_encoding = delivery.content_encoding
        self.reply_to = delivery.reply_to
        self.user_id = delivery.user_id
        self.headers = delivery.headers
        self.redelivered = delivery.redelivered
        self.deliveries = delivery.deliveries

    async def ack(self) -> None:
        await reach("before_ack")
        await self._delivery.ack()
        if armed("after_ack"):
            await asyncio.sleep(0.01)  # this lets it be written to the socket
        await reach("after_ack")

    async def nack(self) -> None:
        await self._delivery.nack()
