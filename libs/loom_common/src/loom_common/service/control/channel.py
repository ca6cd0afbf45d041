"""Receives the coordinator's messages to every replica: the epochs of runs and prefetch limits.

They arrive in a queue of this replica, which is deleted with the process: each message is repeated, or may be missed
without harm."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

from loom_common.contracts.encoding.codec import decode
from loom_common.contracts.envelope import Message
from loom_common.errors import DependencyUnavailable, UnreadableMessage
from loom_common.flow import Binding, Exchange
from loom_common.logs.logger import log
from loom_common.ports.bus import Bus, Delivery, Subscription

Heard = TypeVar("Heard", bound=Message)

_AT_ONCE = 100
_PAUSE_SECONDS = 1.0


class ControlChannel:
    """Dispatches control messages to the listeners that `on` registered, while `follow` runs."""

    def __init__(self, bus: Bus, service: str) -> None:
        self._bus = bus
        self._service = service
        self._hearers: dict[type[Message], Callable[[Message], Awaitable[None]]] = {}
        self._subscription: Subscription | None = None
        self.listens = asyncio.Event()
        """Is set once what is published for this replica reaches it."""
        self.overheard: Callable[[Delivery], None] = lambda _: None
        """Is called with each message before it is decoded."""

    def on(self, kind: type[Heard], hear: Callable[[Heard], Awaitable[None]]) -> None:
        """Call `hear` with every message of this kind, one at a time."""
        self._hearers[kind] = cast("Callable[[Message], Awaitable[None]]", hear)

    async def follow(self) -> None:
        """Hand on every message of the channel to those who hear its kind, until `stop` is called."""
        self._subscription = await self._subscribed()
        self.listens.set()
        async for delivery in self._subscription:
            await self._hand_on(delivery)
            await delivery.ack()

    async def stop(self) -> None:
        """End the consumption of the channel, so that `follow` returns."""
        if self._subscription is not None:
            await self._subscription.close()

    async def _subscribed(self) -> Subscription:
        bindings = [Binding(Exchange.CONTROL, f"control.{name}") for name in ("all", self._service)]
        while True:
            try:
                return await self._bus.subscribe(await self._bus.temporary_queue(bindings), prefetch=_AT_ONCE)
            except DependencyUnavailable as error:
                log.warning("control waits", error=str(error), retry_in_s=_PAUSE_SECONDS)
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _hand_on(self, delivery: Delivery) -> None:
        """Decode a message and call its listeners. An unknown type is ignored: a newer coordinator may send it."""
        self.overheard(delivery)
        try:
            message = decode(delivery, *self._hearers)
        except UnreadableMessage as error:
            log.warning("control message not understood", reason=str(error))
            return
        await self._hearers[type(message)](message)
