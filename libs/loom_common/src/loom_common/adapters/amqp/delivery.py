"""Defines a message from RabbitMQ, and its acknowledgement."""

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
"""The header in which a quorum queue counts the earlier deliveries of a message."""


class AmqpDelivery:
    """Represents a delivered message, which the broker takes back when its channel is closed."""

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
        "message",
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
        self.message: object | None = None
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
        """Say whether the channel is closed, so that the broker delivers the message to another consumer."""
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
            return  # the channel is closed: the message is delivered again

    async def _settle_in_turn(self, sending: Coroutine[Any, Any, None]) -> None:
        """Send an acknowledgement. It ends with the channel, because aiormq would leave a task that waits for its turn
        to write waiting without end."""
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
