"""Defines a message from RabbitMQ, and its acknowledgement."""

from __future__ import annotations

from collections.abc import Mapping

from aiormq import spec
from aiormq.abc import DeliveredMessage

from loom_common.adapters.amqp.acknowledgements import Acknowledgements
from loom_common.adapters.amqp.unacked_window import UnackedWindow

DELIVERY_COUNT = "x-delivery-count"
"""The header in which a quorum queue counts the earlier deliveries of a message."""


class AmqpDelivery:
    """Represents a delivered message, which the broker takes back when its channel is closed."""

    __slots__ = (
        "_acknowledgements",
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
        "user_id",
    )

    def __init__(
        self,
        acknowledgements: Acknowledgements,
        message: DeliveredMessage,
        frame: spec.Basic.Deliver,
        window: UnackedWindow,
    ) -> None:
        properties = message.header.properties
        headers: Mapping[str, object] = properties.headers or {}
        self._acknowledgements = acknowledgements
        self._tag: int = frame.delivery_tag or 0
        acknowledgements.arrived(self._tag)
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
        self.user_id: str | None = properties.user_id
        self.headers = headers
        self.redelivered = bool(frame.redelivered)
        count = headers.get(DELIVERY_COUNT)
        self.deliveries = count if isinstance(count, int) else int(self.redelivered)

    @property
    def is_lost(self) -> bool:
        """Say whether the channel is closed, so that the broker delivers the message to another consumer."""
        return self._acknowledgements.is_closed

    async def ack(self) -> None:
        await self._window.settling()
        self._acknowledgements.ack(self._tag)

    async def nack(self) -> None:
        await self._window.settling()
        await self._acknowledgements.nack(self._tag)
