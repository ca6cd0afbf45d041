"""A message from RabbitMQ, and its settling."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any

import aiormq
from aiormq import spec
from aiormq.abc import DeliveredMessage
from aiormq.exceptions import ChannelInvalidStateError

from loom_common.adapters.amqp.unacked_window import UnackedWindow

DELIVERY_COUNT = "x-delivery-count"
"""Header in which a quorum queue counts how often the message was delivered before."""


class AmqpDelivery:
    """A message on loan from the broker for as long as its channel lives."""

    __slots__ = (
        "_channel",
        "_tag",
        "_window",
        "body",
        "content_encoding",
        "correlation_id",
        "deliveries",
        "exchange",
        "headers",
        "message_id",
        "redelivered",
        "reply_to",
        "routing_key",
        "type",
    )

    def __init__(
        self, channel: aiormq.Channel, message: DeliveredMessage, frame: spec.Basic.Deliver, window: UnackedWindow
    ) -> None:
        properties = message.header.properties
        headers: Mapping[str, object] = properties.headers or {}
        self._channel = channel
        self._tag: int = frame.delivery_tag or 0
        self._window = window
        self.body = message.body
        self.exchange: str = frame.exchange or ""
        self.routing_key: str = frame.routing_key or ""
        self.type: str | None = properties.message_type
        self.message_id: str | None = properties.message_id
        self.correlation_id: str | None = properties.correlation_id
        self.content_encoding: str | None = properties.content_encoding
        self.reply_to: str | None = properties.reply_to
        self.headers = headers
        self.redelivered = bool(frame.redelivered)
        count = headers.get(DELIVERY_COUNT)
        self.deliveries = count if isinstance(count, int) else int(self.redelivered)

    @property
    def is_lost(self) -> bool:
        """Whether the channel is gone: the broker gives the message to somebody else."""
        return self._channel.is_closed

    async def ack(self) -> None:
        await self._window.settling()
        await self._settle(self._channel.basic_ack(self._tag, wait=False))

    async def nack(self) -> None:
        await self._window.settling()
        await self._settle(self._channel.basic_nack(self._tag, requeue=True, wait=False))

    async def _settle(self, sending: Coroutine[Any, Any, None]) -> None:
        try:
            if self._channel.is_closed or not self._channel.write_queue.full():
                await sending
            else:
                await self._settle_in_turn(sending)
        except ChannelInvalidStateError:
            return  # a lost lease: the message comes again

    async def _settle_in_turn(self, sending: Coroutine[Any, Any, None]) -> None:
        """aiormq leaves whoever waits for a turn to write waiting for ever when the connection breaks."""
        task = asyncio.ensure_future(sending)
        closing = self._channel.closing
        try:
            await asyncio.wait((task, closing), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                task.result()
        finally:
            task.cancel()
            if not self._channel.is_closed:
                closing.cancel()
