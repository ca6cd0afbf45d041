"""Encodes a message as the frames of AMQP that publish it."""

from __future__ import annotations

import struct
from functools import lru_cache

from aiormq import spec
from pamqp.constants import FRAME_BODY, FRAME_END_CHAR
from pamqp.frame import marshal
from pamqp.header import ContentHeader

from loom_common.flow import Exchange
from loom_common.ports.bus import Wire

PERSISTENT = 2
LONGEST_KEY = 255
"""The most bytes of a routing key, by AMQP."""


def frames_of(
    message: Wire, message_id: str, channel: int, largest_part: int, user: str | None
) -> list[bytes | memoryview]:
    """Return what is written to publish a message on the channel of that number. The parts of the body, each of
    `largest_part` bytes at most, are not copied. Requests name `user` as their sender.

    Raises `ValueError` and `TypeError` for what AMQP cannot carry."""
    body = message.body
    properties = spec.Basic.Properties(
        content_type=message.content_type,
        content_encoding=message.content_encoding,
        headers=dict(message.headers),
        delivery_mode=PERSISTENT,
        correlation_id=message.correlation_id or None,
        reply_to=message.reply_to,
        message_id=message_id,
        message_type=message.type or None,
        app_id=message.app_id,
        user_id=user if message.exchange == Exchange.RUNS else None,
    )
    before = _method(message.exchange, message.routing_key, message.mandatory, channel)
    before += marshal(ContentHeader(body_size=len(body), properties=properties), channel)
    frames: list[bytes | memoryview] = []
    whole = memoryview(body)
    for at in range(0, len(body), largest_part):
        part = whole[at : at + largest_part]
        frames += (before + struct.pack(">BHI", FRAME_BODY, channel, len(part)), part)
        before = FRAME_END_CHAR
    return [*frames, before]


@lru_cache(1000)
def _method(exchange: str, routing_key: str, mandatory: bool, channel: int) -> bytes:  # noqa: FBT001 - it is a cache's key
    """Return the frame that says where a message goes."""
    if len(routing_key.encode()) > LONGEST_KEY:
        raise ValueError(f"The routing key {routing_key[:60]}... is longer than {LONGEST_KEY} bytes.")
    return marshal(spec.Basic.Publish(exchange=str(exchange), routing_key=routing_key, mandatory=mandatory), channel)
