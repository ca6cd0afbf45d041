"""Provides a channel to publish on, and the result of each message."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine
from typing import Any

import aiormq
from aiormq import spec
from aiormq.exceptions import DeliveryError

from loom_common.adapters.amqp.connection import cancelled_by_us
from loom_common.adapters.amqp.uninterrupted import uninterrupted
from loom_common.flow import Exchange
from loom_common.ports.bus import Wire

PERSISTENT = 2

Failures = list[tuple[Wire, BaseException]]
"""Messages that were not confirmed, with the cause: `PublishError` (reached no queue), another `DeliveryError` (not
accepted by the broker now), `ChannelClosed` (a message on the channel was refused), or the error that broke the
connection."""


class AmqpPublishingChannel:
    """A channel with publisher confirms.

    Its publishing tasks end with it. Without that, one that waits for its turn to write would wait without end when the
    connection breaks, because aiormq does not end it."""

    def __init__(self, channel: aiormq.Channel, user: str | None = None) -> None:
        """Take the broker's user of the connection, whom requests name as their sender; None for nobody."""
        self._channel = channel
        self._user = user
        self._publishing: set[asyncio.Task[object]] = set()
        channel.closing.add_done_callback(lambda _: self._end())

    @property
    def is_closed(self) -> bool:
        return self._channel.is_closed

    async def send(self, messages: list[Wire]) -> Failures:
        """Publish all messages at once, in order, and wait for their confirms."""
        if len(messages) == 1 and not self._channel.write_queue.full():
            outcomes = [await _outcome(self._publish(messages[0]))]  # it need not wait for its turn, nor be a task
        else:
            outcomes = await self._outcomes(messages)
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

    async def _outcomes(self, messages: list[Wire]) -> list[object]:
        tasks = [asyncio.create_task(self._publish(message)) for message in messages]
        self._publishing.update(tasks)
        try:
            return await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            self._publishing.difference_update(tasks)

    def _publish(self, message: Wire) -> Coroutine[Any, Any, object]:
        return self._channel.basic_publish(
            message.body,
            exchange=message.exchange,
            routing_key=message.routing_key,
            mandatory=message.mandatory,
            properties=spec.Basic.Properties(
                content_type=message.content_type,
                content_encoding=message.content_encoding,
                headers=dict(message.headers),
                delivery_mode=PERSISTENT,
                correlation_id=message.correlation_id or None,
                reply_to=message.reply_to,
                message_id=message.message_id or None,
                message_type=message.type or None,
                app_id=message.app_id,
                user_id=self._user if message.exchange == Exchange.RUNS else None,
            ),
            wait=False,  # the socket is not waited for; the confirm is awaited all the same
        )

    def _reason(self) -> BaseException:
        closing = self._channel.closing
        error = None if closing.cancelled() else closing.exception()
        return error or ConnectionError("the channel was closed")

    def _end(self) -> None:
        for task in self._publishing:
            task.cancel()


async def _outcome(publishing: Awaitable[object]) -> object:
    """Return the result of publishing one message, as it is returned for many."""
    try:
        return await publishing
    except asyncio.CancelledError as error:
        if cancelled_by_us():
            raise
        return error
    except Exception as error:  # noqa: BLE001 - the message is settled by `send`, as it is for many
        return error
