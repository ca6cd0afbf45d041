"""Provides a channel to publish on, and the result of each message."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import aiormq
from aiormq.exceptions import ChannelInvalidStateError, DeliveryError

from loom_common.adapters.amqp.message_frames import frames_of
from loom_common.adapters.amqp.socket_writes import GatheringWriter
from loom_common.adapters.amqp.uninterrupted import cancelled_by_us, uninterrupted
from loom_common.ports.bus import Wire

Confirm = asyncio.Future[object]
"""Is done when the broker has confirmed a message; it raises what the broker said of it instead."""
Failures = list[tuple[Wire, BaseException]]
"""Messages that were not confirmed, with the cause: `PublishError` (reached no queue), another `DeliveryError` (not
accepted by the broker now), `ChannelClosed` (a message on the channel was refused), or the error that broke the
connection."""


class AmqpPublishingChannel:
    """Represents a channel with publisher confirms, on which nobody else publishes.

    It encodes and writes each message at once. aiormq would take a lock, a time limit and a turn of the task that
    writes for each, and copy its body four times. What the broker answers is still read by aiormq, from the entries
    that are made here."""

    def __init__(self, channel: aiormq.Channel, writer: GatheringWriter, user: str | None = None) -> None:
        """Take an open channel with confirms, what writes to its connection, and the broker's user of the connection,
        whom requests name as their sender; None for nobody."""
        self._channel = channel
        self._writer = writer
        self._user = user
        self._under_way: set[Confirm] = set()
        channel.closing.add_done_callback(lambda _: self._end())

    @property
    def is_closed(self) -> bool:
        return self._channel.is_closed

    @property
    def largest_part(self) -> int:
        """Return the number of bytes from which on a body is sent in several parts."""
        return self._channel.max_content_size

    async def send(self, messages: list[Wire]) -> Failures:
        """Publish all messages at once, in order, and wait for their confirms."""
        confirms = [self._publish(message) for message in messages]
        outcomes = [await _outcome(confirm) for confirm in confirms]
        failures: Failures = []
        for message, outcome in zip(messages, outcomes, strict=True):
            if isinstance(outcome, DeliveryError):
                failures.append((message, outcome))
            elif isinstance(outcome, BaseException):
                if not self.is_closed:
                    raise outcome
                failures.append((message, self._reason()))
        return failures

    async def close(self) -> None:
        await uninterrupted(self._channel.close())

    def _publish(self, message: Wire) -> Confirm:
        """Write a message, and return its confirm."""
        channel, confirm = self._channel, Confirm(loop=self._channel.loop)
        if channel.is_closed:
            confirm.set_exception(ChannelInvalidStateError(f"channel {channel.number} is closed"))
            return confirm
        message_id = message.message_id or uuid4().hex
        try:
            frames = frames_of(message, message_id, channel.number, self.largest_part, self._user)
        except (ValueError, TypeError) as error:
            confirm.set_exception(error)
            return confirm
        channel.delivery_tag += 1
        tag = channel.delivery_tag
        channel.confirmations[tag] = confirm
        channel.message_id_delivery_tag[message_id] = tag
        self._under_way.add(confirm)

        def settled(confirm: Confirm) -> None:
            self._under_way.discard(confirm)
            if channel.message_id_delivery_tag.get(message_id) == tag:
                del channel.message_id_delivery_tag[message_id]
            if not confirm.cancelled():
                confirm.exception()  # it is told to whoever waits; where nobody does any more, it is not logged

        confirm.add_done_callback(settled)
        self._writer.writelines(frames)
        return confirm

    def _reason(self) -> BaseException:
        closing = self._channel.closing
        error = None if closing.cancelled() else closing.exception()
        return error or ConnectionError("the channel was closed")

    def _end(self) -> None:
        for confirm in [*self._under_way]:
            if not confirm.done():
                confirm.set_exception(self._reason())


async def _outcome(confirm: Confirm) -> object:
    """Return what a confirm says, or the error that it raises."""
    try:
        return await confirm
    except asyncio.CancelledError as error:
        if cancelled_by_us():
            raise
        return error
    except Exception as error:  # noqa: BLE001 - the message is settled by `send`
        return error
