"""The claim check: a bus whose large bodies go through the payload store, and whose messages stay small.

RabbitMQ keeps messages in memory and bounds their size (128 MiB on 3.10, 16 MiB on 4.x). A body above 256 KB, already
compressed, is put into the payload store under its run, and the message carries its hash; whoever takes the
message gets the body back (Hohpe and Woolf's pattern). When the run has ended, the coordinator drops its bodies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import structlog

from loom_common.adapters.wrapped.wrapped_bus import WrappedBus, WrappedSubscription
from loom_common.errors import DependencyUnavailable
from loom_common.flow import Exchange
from loom_common.ports.bus import Bus, Delivery, Subscription, Wire
from loom_common.ports.payloads import PayloadStore

log = structlog.get_logger()

LARGEST_INLINE = 256 * 1024
"""Bytes of a body that still travels in its message."""
CLAIM = "loom-claim"
"""The header that holds the hash of a body left in the payload store."""
LOST = "claimed body is not in the payload store"
_PAUSE_SECONDS = 1.0


class ClaimCheckBus(WrappedBus):
    """Everything but large bodies passes through."""

    def __init__(self, bus: Bus, payloads: PayloadStore) -> None:
        super().__init__(bus)
        self._payloads = payloads

    async def publish(self, messages: Sequence[Wire]) -> None:
        await self._bus.publish([await self._checked_in(message) for message in messages])

    async def _checked_in(self, message: Wire) -> Wire:
        if len(message.body) <= LARGEST_INLINE:
            return message
        # What no one could read outlives its run.
        run_id = message.correlation_id if message.exchange != Exchange.DEAD else None
        name = await self._payloads.put(message.body, run_id=run_id or None)
        return replace(message, body=b"", headers={**message.headers, CLAIM: name})

    async def subscribe(self, queue: str, prefetch: int) -> Subscription:
        return ClaimingSubscription(await self._bus.subscribe(queue, prefetch), self._payloads)


class ClaimingSubscription(WrappedSubscription):
    """Deliveries come with their bodies."""

    def __init__(self, subscription: Subscription, payloads: PayloadStore) -> None:
        super().__init__(subscription)
        self._payloads = payloads

    async def __aiter__(self) -> AsyncIterator[Delivery]:
        async for delivery in self._subscription:
            if CLAIM in delivery.headers:
                await self._fetch(delivery, str(delivery.headers[CLAIM]))
            yield delivery

    async def _fetch(self, delivery: Delivery, name: str) -> None:
        """Put the body back. While the store is away, wait: the message would find it no better elsewhere. A body
        that is gone makes the message unreadable, and it goes where unreadable messages go."""
        while True:
            try:
                delivery.body = await self._payloads.get(name)
            except DependencyUnavailable as error:
                log.warning("claimed body waits", error=str(error), retry_in_s=_PAUSE_SECONDS)
                await asyncio.sleep(_PAUSE_SECONDS)
            except KeyError:
                delivery.content_encoding = LOST
                return
            else:
                delivery.headers = {key: value for key, value in delivery.headers.items() if key != CLAIM}
                return
