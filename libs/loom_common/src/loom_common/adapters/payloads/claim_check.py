"""Puts large bodies into the payload store and keeps messages small (the claim check of Hohpe and Woolf).

RabbitMQ keeps messages in memory and limits their size (128 MiB on 3.10, 16 MiB on 4.x). A body above 256 KB, after
compression, is put into the payload store under its run, and the message carries its hash; the consumer gets the body
back. When the run has ended, the coordinator deletes its bodies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from loom_common.adapters.wrapped.wrapped_bus import WrappedBus, WrappedSubscription
from loom_common.errors import DependencyUnavailable
from loom_common.flow import Exchange
from loom_common.logs.logger import log
from loom_common.ports.bus import Bus, Delivery, Subscription, Wire
from loom_common.ports.payloads import PayloadStore

LARGEST_INLINE = 256 * 1024
"""The most bytes of a body that is sent in its message."""
CLAIM = "loom-claim"
"""The header with the hash of a body that is in the payload store."""
LOST = "claimed body is not in the payload store"
_PAUSE_SECONDS = 1.0


class ClaimCheckBus(WrappedBus):
    """Passes everything on to another bus but large bodies."""

    def __init__(self, bus: Bus, payloads: PayloadStore) -> None:
        super().__init__(bus)
        self._payloads = payloads

    async def publish(self, messages: Sequence[Wire]) -> None:
        await self._bus.publish([await self._checked_in(message) for message in messages])

    async def _checked_in(self, message: Wire) -> Wire:
        if len(message.body) <= LARGEST_INLINE:
            return message
        # Unreadable messages are kept after their run, and their bodies with them.
        run_id = message.correlation_id if message.exchange != Exchange.DEAD else None
        name = await self._payloads.put(message.body, owner=run_id or None)
        return replace(message, body=b"", message=None, headers={**message.headers, CLAIM: name})

    async def subscribe(self, queue: str, prefetch: int) -> Subscription:
        return ClaimingSubscription(await self._bus.subscribe(queue, prefetch), self._payloads)


class ClaimingSubscription(WrappedSubscription):
    """Yields deliveries with their bodies."""

    def __init__(self, subscription: Subscription, payloads: PayloadStore) -> None:
        super().__init__(subscription)
        self._payloads = payloads

    async def __aiter__(self) -> AsyncIterator[Delivery]:
        async for delivery in self._subscription:
            if CLAIM in delivery.headers:
                await self._fetch(delivery, str(delivery.headers[CLAIM]))
            yield delivery

    async def _fetch(self, delivery: Delivery, name: str) -> None:
        """Put the body back into the message.

        While the store cannot be reached it waits, because retrying the message would not help. A missing body makes
        the message unreadable."""
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
