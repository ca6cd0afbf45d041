"""Consumes a queue for the slices of a stream.

Where this process alone reads the stream, its consumer goes on between slices, so that messages arrive before they are
asked for. Where the next slice may be another process's, the consumer is cancelled at the end of each, before anything
is acknowledged: so the queue sends no more than is taken, and no message waits here while another process looks for
it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import aiormq
from aiormq.abc import DeliveredMessage

from loom_common.adapters.amqp.connection import LOST
from loom_common.adapters.amqp.uninterrupted import cancelled_by_us, uninterrupted
from loom_common.domain.definition.streams.settings import Pace
from loom_connectors.rabbitmq.broker import Broker

QUIET_SECONDS = 1.0
"""The most that is waited for a message before whoever asks looks whether to ask again."""
IDLE_SECONDS = 5.0
"""Says how long messages are held that nobody asks for, as while a stream is paused. Then they go back to the queue."""


class Taken:
    """Holds messages of a consumer that goes on."""

    def __init__(self, channel: aiormq.Channel, delivered: Sequence[DeliveredMessage], unanswered: set[int]) -> None:
        """`unanswered` are the tags of all messages that the channel has delivered and nobody has answered for."""
        self.delivered = delivered
        self._channel = channel
        self._unanswered = unanswered

    async def acknowledge(self) -> None:
        """Have the queue forget them. Where the connection broke meanwhile, they are delivered again."""
        await uninterrupted(self._answered(self._channel.basic_ack))

    async def give_back(self) -> None:
        """Return the messages to the queue."""
        await uninterrupted(self._answered(partial(self._channel.basic_nack, requeue=True)))

    async def _answered(self, answer: Any) -> None:
        """Answer for all of them by one frame; where others are held that came before the last of them, for each."""
        mine = {each.delivery_tag or 0 for each in self.delivered}
        last = max(mine, default=0)
        others = self._unanswered - mine
        self._unanswered -= mine
        try:
            if mine and not any(tag < last for tag in others):
                await answer(last, multiple=True)
                return
            for tag in sorted(mine):
                await answer(tag)
        except (*LOST, RuntimeError):
            if cancelled_by_us():
                raise


class StreamConsumer:
    """Represents a consumer that is opened when a message is first asked for, and again after it was lost."""

    def __init__(self, broker: Broker, queue: str, prefetch: int, pace: Pace) -> None:
        self._broker = broker
        self._queue = queue
        self._prefetch = prefetch
        self._pace = pace
        self._channel: aiormq.Channel | None = None
        self._tag: str | None = None
        """Names the consumer; None where the queue is not consumed at the moment."""
        self._unanswered: set[int] = set()
        self._limit = 0
        """The most messages that the queue sends before some are acknowledged."""
        self._arrived: asyncio.Queue[DeliveredMessage | None] = asyncio.Queue()  # holds at most what is prefetched
        self._on_message: Callable[[DeliveredMessage], Coroutine[Any, Any, None]] | None = None
        self._taking = asyncio.Lock()
        self._idle: asyncio.TimerHandle | None = None
        self._closing: set[asyncio.Task[None]] = set()

    async def take(self, most: int) -> Taken:
        """Wait for a message, and then for those that come within `batch.wait` of it; where as many are there as a
        batch has, only for those that are there already. Nothing may have come. Raises what the broker raises."""
        async with self._taking, self._kept_open():
            channel = await self._opened(most)
            found: list[DeliveredMessage] = []
            ends = 0.0
            while len(found) < most:
                now = asyncio.get_running_loop().time()
                if not found:
                    patience = QUIET_SECONDS
                else:
                    patience = 0.0 if len(found) >= self._pace.size else max(0.0, ends - now)
                message = await self._next(patience)
                if message is None:
                    break
                if not found:
                    ends = asyncio.get_running_loop().time() + self._pace.wait_seconds
                found.append(message)
            if not self._pace.alone:
                found += await self._stopped(channel)
            return Taken(channel, found, self._unanswered)

    async def close(self) -> None:
        """Close the channel: what is held goes back to the queue."""
        channel, self._channel, self._tag = self._channel, None, None
        if channel is not None:
            try:
                await uninterrupted(channel.close())
            except (*LOST, RuntimeError):
                if cancelled_by_us():
                    raise

    @asynccontextmanager
    async def _kept_open(self) -> AsyncIterator[None]:
        """Let nobody close it within the block, and let it be closed a while after it."""
        if self._idle is not None:
            self._idle.cancel()
        try:
            yield
        finally:
            self._idle = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._let_go)

    def _let_go(self) -> None:
        task = asyncio.ensure_future(self.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _next(self, patience: float) -> DeliveredMessage | None:
        """Return the next message; None where none came in so many seconds, or the consumer is lost."""
        if self._arrived.empty():
            try:
                async with asyncio.timeout(patience):
                    message = await self._arrived.get()
            except TimeoutError:
                return None
        else:
            message = self._arrived.get_nowait()
        if message is None:
            await self.close()
        return message

    async def _stopped(self, channel: aiormq.Channel) -> list[DeliveredMessage]:
        """Let the queue send no more, and return what it has sent until then."""
        tag, self._tag = self._tag, None
        if tag is not None and not channel.is_closed:
            await uninterrupted(channel.basic_cancel(tag))
        late: list[DeliveredMessage] = []
        while not self._arrived.empty():
            if (message := self._arrived.get_nowait()) is not None:
                late.append(message)
        return late

    async def _opened(self, most: int) -> aiormq.Channel:
        """Return the channel, on which the queue is consumed."""
        if self._channel is None or self._channel.is_closed:
            self._channel = await self._new_channel()
        channel = self._channel
        if self._tag is None:
            try:
                limit = self._prefetch if self._pace.alone else min(most, self._prefetch)
                if limit != self._limit:
                    await uninterrupted(channel.basic_qos(prefetch_count=limit))
                    self._limit = limit
                assert self._on_message is not None
                consumed = await uninterrupted(channel.basic_consume(self._queue, self._on_message))
                self._tag = consumed.consumer_tag or ""
            except BaseException:
                await self.close()
                raise
        return channel

    async def _new_channel(self) -> aiormq.Channel:
        channel = await self._broker.channel()
        arrived: asyncio.Queue[DeliveredMessage | None] = asyncio.Queue()
        unanswered: set[int] = set()

        async def take(message: DeliveredMessage) -> None:
            unanswered.add(message.delivery_tag or 0)
            arrived.put_nowait(message)

        async def stop(_: object) -> None:
            arrived.put_nowait(None)

        channel.closing.add_done_callback(lambda _: arrived.put_nowait(None))
        channel.on_consumer_cancel_callbacks.add(stop)
        self._arrived, self._on_message, self._tag, self._limit = arrived, take, None, 0
        self._unanswered = unanswered
        return channel
