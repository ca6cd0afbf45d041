"""Receives events for one coordinator alone, on a temporary queue of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from loom_common.contracts.encoding.codec import decode
from loom_common.contracts.envelope import Message
from loom_common.errors import UnreadableMessage
from loom_common.flow import Binding, Exchange
from loom_common.logs.logger import log
from loom_common.ports.bus import Bus, Subscription

M = TypeVar("M", bound=Message)

_PREFETCH = 500


@asynccontextmanager
async def listening(
    bus: Bus, routing_key: str, kind: type[M], on_event: Callable[[M], None]
) -> AsyncIterator[asyncio.Task[None]]:
    """Call `on_event` with every event of this routing key until the end of the block; `*` stands for one word of the
    key. An event that cannot be read is dropped. Yields the task that receives them, which ends early only where
    receiving fails."""
    queue = await bus.temporary_queue([Binding(Exchange.EVENTS, routing_key)])
    subscription = await bus.subscribe(queue, prefetch=_PREFETCH)
    receiving = asyncio.create_task(_receive(subscription, kind, on_event))
    try:
        yield receiving
    finally:
        receiving.cancel()
        await asyncio.gather(receiving, return_exceptions=True)
        await subscription.close()


async def _receive(subscription: Subscription, kind: type[M], on_event: Callable[[M], None]) -> None:
    async for delivery in subscription:
        try:
            event = decode(delivery, kind)
        except UnreadableMessage as error:
            log.debug("event not understood", reason=str(error))
        else:
            assert isinstance(event, kind)
            on_event(event)
        await delivery.ack()
