"""Keeps a consumer of one RabbitMQ queue, and renews it whenever its channel or queue is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import aiormq
from aiormq import spec
from aiormq.abc import DeliveredMessage
from aiormq.exceptions import ChannelNotFoundEntity

from loom_common.adapters.amqp.acknowledgements import Acknowledgements
from loom_common.adapters.amqp.connection import LOST, AmqpConnection
from loom_common.adapters.amqp.delivery import AmqpDelivery
from loom_common.adapters.amqp.unacked_window import UnackedWindow
from loom_common.adapters.amqp.uninterrupted import cancelled_by_us, uninterrupted
from loom_common.adapters.bus_errors import at_least_one, topology_missing
from loom_common.errors import LoomError
from loom_common.logs.logger import log

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
"""The longest pause in seconds between attempts to consume again. Pauses double."""


class AmqpSubscription:
    """Runs one channel with one consumer, and a task that renews whichever of them is lost.

    `restore` declares the queue again if this process declared it before, and returns whether it did."""

    def __init__(
        self, link: AmqpConnection, queue: str, prefetch: int, restore: Callable[[str], Awaitable[bool]]
    ) -> None:
        self._link = link
        self._queue = queue
        self._prefetch = at_least_one(prefetch)
        self._restore = restore
        self._channel: aiormq.Channel | None = None
        self._acknowledgements: Acknowledgements | None = None
        self._consumer: str | None = None
        self._window = UnackedWindow(self._prefetch)
        self._arrived: asyncio.Queue[AmqpDelivery | None] = asyncio.Queue()  # holds at most the prefetch limit
        self._lost = asyncio.Event()
        self._commands = asyncio.Lock()
        self._renewing: asyncio.Task[None] | None = None
        self._stopped = False
        self.closed = False

    @property
    def queue(self) -> str:
        return self._queue

    @property
    def prefetch(self) -> int:
        return self._prefetch

    @property
    def active(self) -> bool:
        """Tell whether the broker has the consumer, as far as is known."""
        return self._consumer is not None and not self._stopped

    async def start(self, patience: float) -> None:
        """Consume. Raises `TopologyMissing` where the queue does not exist, and what `AmqpConnection.errand` raises."""
        try:
            async with self._link.errand(patience) as channel:
                await channel.queue_declare(self._queue, passive=True)
        except ChannelNotFoundEntity as error:
            raise topology_missing(f"RabbitMQ at {self._link.place}", [], [self._queue]) from error
        try:
            await self._resume()
        except LOST:
            if cancelled_by_us():
                raise
            self._lost.set()
        self._renewing = asyncio.create_task(self._keep(), name=f"consumer of {self._queue}")

    def __aiter__(self) -> AsyncIterator[AmqpDelivery]:
        return self

    async def __anext__(self) -> AmqpDelivery:
        while True:
            delivery = await self._arrived.get()
            if delivery is None:
                self._arrived.put_nowait(None)
                raise StopAsyncIteration
            if not delivery.is_lost:
                return delivery

    async def set_prefetch(self, prefetch: int) -> None:
        if at_least_one(prefetch) == self._prefetch:
            return
        self._prefetch = prefetch
        await uninterrupted(self._consume_anew())

    async def _consume_anew(self) -> None:
        async with self._commands:
            acknowledgements = self._acknowledgements
            if self._stopped or self._channel is None or self._consumer is None or acknowledgements is None:
                return  # the renewing task is about to consume with the new limit
            try:
                await self._cancel(self._channel, self._consumer)
                await self._consume(self._channel, acknowledgements)
            except BaseException as error:
                self._lost.set()
                if not isinstance(error, LOST) or cancelled_by_us():
                    raise

    async def stop(self) -> None:
        if not self._stopped:
            await uninterrupted(self._stop())

    async def _stop(self) -> None:
        await self._let_go()
        async with self._commands:
            if self._channel is not None and self._consumer is not None:
                try:
                    await self._cancel(self._channel, self._consumer)
                except LOST:
                    if cancelled_by_us():
                        raise
        for delivery in self._end():
            await delivery.nack()

    async def close(self) -> None:
        self.closed = True
        await uninterrupted(self._close())

    async def _close(self) -> None:
        if not self._stopped:
            await self._let_go()
            self._end()
        if self._channel is not None and self._acknowledgements is not None:
            await self._acknowledgements.sent()
            try:
                await self._channel.close()  # the broker takes back, in order, what is not acknowledged
            except LOST:
                if cancelled_by_us():
                    raise

    async def _let_go(self) -> None:
        self._stopped = True
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.gather(self._renewing, return_exceptions=True)

    def _end(self) -> list[AmqpDelivery]:
        """Return the messages that were not yielded, and end the iteration."""
        left = []
        while not self._arrived.empty():
            delivery = self._arrived.get_nowait()
            if delivery is not None:
                left.append(delivery)
        self._arrived.put_nowait(None)
        return left

    async def _keep(self) -> None:
        pause = FIRST_PAUSE
        while True:
            await self._lost.wait()
            self._lost.clear()
            try:
                await self._link.wait_until_connected()
                await uninterrupted(self._resume())
                pause = FIRST_PAUSE
                continue
            except ChannelNotFoundEntity:
                # RabbitMQ does not notify a consumer whose queue is declared again before the deletion is noticed. The
                # other replicas get a moment to notice it.
                await asyncio.sleep(pause)
                await uninterrupted(self._declare_again())
            except (*LOST, LoomError) as error:
                if isinstance(error, asyncio.CancelledError) and cancelled_by_us():
                    raise
                log.warning("cannot consume yet", queue=self._queue, reason=str(error) or type(error).__name__)
            self._lost.set()
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _resume(self) -> None:
        """Make sure that there is a channel with one consumer."""
        channel = self._channel
        if channel is None or channel.is_closed:
            channel = await self._link.channel()
            if self.closed:
                await channel.close()
                return
            self._channel = channel
            self._acknowledgements = Acknowledgements(channel)
            self._consumer = None
            channel.on_consumer_cancel_callbacks.add(self._on_cancelled)
            channel.closing.add_done_callback(lambda _: self._on_closed(channel))
        async with self._commands:
            if self._consumer is None and not self._stopped and self._acknowledgements is not None:
                await self._consume(channel, self._acknowledgements)

    async def _consume(self, channel: aiormq.Channel, acknowledgements: Acknowledgements) -> None:
        """Start a consumer, after setting the limit: a quorum queue ignores a new limit for an existing consumer."""
        await channel.basic_qos(prefetch_count=self._prefetch)
        window = self._window = UnackedWindow(self._prefetch)
        acknowledgements.prefetch = self._prefetch

        async def take(message: DeliveredMessage) -> None:
            frame = message.delivery
            if isinstance(frame, spec.Basic.Deliver) and not self.closed:
                window.arrived()
                self._arrived.put_nowait(AmqpDelivery(acknowledgements, message, frame, window))

        self._consumer = (await channel.basic_consume(self._queue, take)).consumer_tag

    async def _cancel(self, channel: aiormq.Channel, consumer: str) -> None:
        """Cancel the consumer while no message is on its way to it; `unacked_window.py` says why."""
        async with self._window.still():
            self._consumer = None
            await channel.basic_cancel(consumer)

    async def _on_cancelled(self, frame: spec.Basic.Cancel) -> None:
        """React to the broker's cancellation of the consumer: its queue was deleted or moved to another node."""
        if frame.consumer_tag == self._consumer:
            self._consumer = None
            self._lost.set()

    def _on_closed(self, channel: aiormq.Channel) -> None:
        if channel is self._channel:
            self._consumer = None
            self._lost.set()

    async def _declare_again(self) -> None:
        try:
            known = await self._restore(self._queue)
        except LoomError as error:
            log.warning("cannot declare the queue again", queue=self._queue, reason=str(error))
        else:
            log.warning("queue was gone", queue=self._queue, declared_again=known)
