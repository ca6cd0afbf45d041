"""Publishes with confirms, whatever happens to the connection meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from aiormq.exceptions import ChannelAccessRefused, ChannelClosed, ChannelNotFoundEntity, PublishError

from loom_common.adapters.amqp.channel import AmqpPublishingChannel, Failures
from loom_common.adapters.amqp.connection import LOST, AmqpConnection
from loom_common.adapters.amqp.uninterrupted import cancelled_by_us
from loom_common.adapters.bus_errors import no_exchange, unroutable
from loom_common.errors import AccessRefused, DependencyUnavailable, LoomError, PermanentError
from loom_common.ports.bus import Wire

PAUSES = (0.0, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Seconds before the n-th repetition of a message; the last value is used from then on."""


class AmqpPublisher:
    """Publishes all messages of the process on one channel, and waits for the broker's confirm of each.

    A message is sent again if its confirm was lost with the channel, or the broker could not accept it. It may then
    exist twice, which is harmless because its id is derived. A message that the broker refuses makes it close the
    channel with everything in flight on it; those messages are sent again on a channel each, so that only the refused
    one fails."""

    def __init__(self, link: AmqpConnection, patience: float, user: str | None = None) -> None:
        """Take the user whom requests name as their sender; None for nobody."""
        self._link = link
        self._patience = patience
        self._user = user
        self._outlet: AmqpPublishingChannel | None = None
        self._opening = asyncio.Lock()
        self._under_way: set[str] = set()

    async def publish(self, messages: Sequence[Wire]) -> None:
        """Publish messages and return once all are confirmed.

        Raises `Unroutable`, `AccessRefused`, `PermanentError` (the broker refuses a message) or `DependencyUnavailable`
        (not confirmed within `patience` seconds after a failure)."""
        together, apart = self._admit(messages)
        admitted = [message.message_id for message in together]
        try:
            await self._publish(together, apart)
        finally:
            self._under_way.difference_update(admitted)

    def _admit(self, messages: Sequence[Wire]) -> tuple[list[Wire], list[Wire]]:
        """Split off messages whose id is in flight: aiormq identifies a returned message by its id alone."""
        together, apart = [], []
        for message in messages:
            if message.message_id in self._under_way:
                apart.append(message)
            else:
                together.append(message)
                if message.message_id:
                    self._under_way.add(message.message_id)
        return together, apart

    async def _publish(self, together: list[Wire], apart: list[Wire]) -> None:
        deadline: float | None = None
        pauses = _pauses()
        while True:
            patience = self._patience if deadline is None else deadline - _now()
            failures = await self._on_shared_channel(together, patience) if together else []
            failures_apart = [failure for message in apart for failure in await self._on_own_channel(message, patience)]
            if not failures and not failures_apart:
                return
            nowhere = [
                (message.exchange, message.routing_key)
                for message, error in (*failures, *failures_apart)
                if isinstance(error, PublishError)
            ]
            if nowhere:
                raise unroutable(nowhere)
            deadline = deadline or _now() + self._patience
            if _now() >= deadline:
                raise self._unconfirmed([*failures, *failures_apart])
            together = [message for message, error in failures if not isinstance(error, ChannelClosed)]
            apart = [message for message, error in failures if isinstance(error, ChannelClosed)]
            apart += [message for message, _ in failures_apart]
            await asyncio.sleep(next(pauses))

    async def _channel(self, patience: float) -> AmqpPublishingChannel:
        return await self._link.publishing_channel(user=self._user, patience=patience)

    async def _on_shared_channel(self, messages: list[Wire], patience: float) -> Failures:
        try:
            outlet = self._outlet
            if outlet is None or outlet.is_closed:
                async with self._opening:
                    if self._outlet is None or self._outlet.is_closed:
                        self._outlet = await self._channel(patience)
                    outlet = self._outlet
            return await outlet.send(messages)
        except LOST as error:
            if isinstance(error, asyncio.CancelledError) and cancelled_by_us():
                raise
            return [(message, error) for message in messages]

    async def _on_own_channel(self, message: Wire, patience: float) -> Failures:
        try:
            outlet = await self._channel(patience)
            try:
                failures = await outlet.send([message])
            finally:
                await outlet.close()
        except LOST as error:
            if isinstance(error, asyncio.CancelledError) and cancelled_by_us():
                raise
            return [(message, error)]
        for _, failure in failures:
            if isinstance(failure, ChannelClosed):
                raise self._refusal(message, failure) from failure
        return failures

    def _refusal(self, message: Wire, error: ChannelClosed) -> LoomError:
        if isinstance(error, ChannelNotFoundEntity):
            return no_exchange(message.exchange, message.routing_key)
        if isinstance(error, ChannelAccessRefused):
            return AccessRefused(
                f"RabbitMQ at {self._link.place} refused a message to {message.exchange}/{message.routing_key}: "
                f"{error}. Grant the user write permission."
            )
        return PermanentError(
            f"RabbitMQ at {self._link.place} will not take message {message.message_id} ({len(message.body)} bytes) "
            f"to {message.exchange}/{message.routing_key}: {error}. Check the broker's limit on the size of a message."
        )

    def _unconfirmed(self, failures: Failures) -> DependencyUnavailable:
        message, error = failures[0]
        return DependencyUnavailable(
            f"RabbitMQ at {self._link.place} did not confirm {len(failures)} message(s) for {self._patience:.0f} s, "
            f"the first to {message.exchange}/{message.routing_key}: {error}. Check the broker's log and its queues."
        )


def _pauses() -> Iterator[float]:
    yield from PAUSES
    while True:
        yield PAUSES[-1]


def _now() -> float:
    return asyncio.get_running_loop().time()
