"""Takes the messages of a queue, and gives them to be kept before they are acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import aiormq
from aiormq import spec
from aiormq.abc import DeliveredMessage

from loom_common.adapters.amqp.connection import LOST
from loom_common.adapters.amqp.uninterrupted import cancelled_by_us, uninterrupted
from loom_common.domain.definition.streams.settings import Pace
from loom_common.domain.values import durations
from loom_common.domain.values.fields import Fields
from loom_common.errors import SourceError
from loom_common.ports.received_pages import ReceivedMessage, ReceivedPage
from loom_connectors.ports.source import Page, ReadRecord, Received
from loom_connectors.rabbitmq.address import Address
from loom_connectors.rabbitmq.broker import Broker
from loom_connectors.rabbitmq.kept_message import KeptMessage
from loom_connectors.rabbitmq.message_records import identity_of, records_of
from loom_connectors.rabbitmq.options import QueueOptions
from loom_connectors.rabbitmq.stream_consumer import StreamConsumer, Taken

_AGAIN_SECONDS = 1.0
"""Says how long an empty queue is waited for to have messages again whose consumer died."""


@dataclass(frozen=True, slots=True)
class _Left:
    """Says how many messages the run still takes. It is the state that `receive` goes on from."""

    messages: int | None
    """Holds how many; None where the run takes as many as there are."""
    again: int = 0
    """The number of those taken last that the broker had delivered before: this run may have kept them then."""

    @staticmethod
    def of(state: Any) -> _Left:
        return _Left(state["left"], state.get("again", 0))

    @property
    def state(self) -> dict[str, int | None]:
        found = {"left": self.messages}
        return {**found, "again": self.again} if self.again else found

    def after(self, taken: int, again: int) -> _Left:
        """Return what is left after so many more messages. Where there is no number, none has to be counted again."""
        return self if self.messages is None else _Left(self.messages - taken, again)

    def recounted(self, known: int) -> _Left:
        """Return what is left where so many of those taken last had been kept before."""
        return self if self.messages is None else _Left(self.messages + min(known, self.again))


class ReceivedMessages:
    """Holds messages of a channel that has not acknowledged them."""

    def __init__(
        self, channel: aiormq.Channel | None, delivered: Sequence[DeliveredMessage], options: QueueOptions, left: _Left
    ) -> None:
        self._channel = channel
        self._last = max((each.delivery_tag or 0 for each in delivered), default=0)
        kept = [KeptMessage.of(each) for each in delivered]
        self.messages = [ReceivedMessage(each.encoded(), identity_of(each, options)) for each in kept]
        self.left = left.after(len(delivered), sum(_is_again(each) for each in delivered))
        self.end = False

    @property
    def state(self) -> dict[str, int | None]:
        return self.left.state

    async def acknowledge(self) -> None:
        await uninterrupted(self._settle(lambda channel: channel.basic_ack(self._last, multiple=True)))

    async def give_back(self) -> None:
        await uninterrupted(self._settle(lambda channel: channel.basic_nack(self._last, multiple=True, requeue=True)))

    async def _settle(self, answer: Any) -> None:
        """Answer for all messages, and close the channel: the broker closes it after it has read the answer."""
        channel, self._channel = self._channel, None
        if channel is None:
            return
        try:
            if self._last:
                await answer(channel)
            await channel.close()
        except (*LOST, RuntimeError):
            if cancelled_by_us():
                raise


class StreamedMessages:
    """Holds messages of a stream that are not acknowledged."""

    state = None
    end = False

    def __init__(self, taken: Taken, options: QueueOptions) -> None:
        kept = [KeptMessage.of(each) for each in taken.delivered]
        self.messages = [ReceivedMessage(each.encoded(), identity_of(each, options)) for each in kept]
        self.acknowledge = taken.acknowledge
        self.give_back = taken.give_back


class QueueSource:
    """Represents a queue as a `ReceivingSource`."""

    def __init__(self, address: Address, queue: str, options: QueueOptions, pace: Pace | None = None) -> None:
        """`pace` is given where the queue is read as a stream: then no number of messages ends it."""
        self._broker = Broker(address, "extract.source", SourceError)
        self._queue = queue
        self._options = options
        self._consumer = None if pace is None else StreamConsumer(self._broker, queue, options.prefetch, pace)
        self._idle = durations.seconds(options.idle_timeout)
        self.origin = f"{address.shown.removeprefix('amqps://').removeprefix('amqp://')}?queue={queue}"
        self.remembered_seconds = durations.seconds(options.dedup_window)

    @property
    def _named(self) -> str:
        return f"the queue '{self._queue}'"

    async def check(self) -> None:
        await self.count()

    async def count(self) -> int:
        async with self._broker.errand(self._named, "read") as channel:
            return await self._depth(channel)

    async def fields(self) -> Fields | None:
        """Return None: only a run takes messages."""
        return None

    async def read(self, cursor: Any, limit: int) -> Page:
        """Look at the first messages, and leave them in the queue."""
        wanted = min(limit, await self.count(), self._options.prefetch)
        received = await self._taken(wanted, _Left(None)) if wanted else None
        if received is None:
            return Page((), None, end=True)
        await received.give_back()
        found: list[ReadRecord] = []
        for at, message in enumerate(received.messages, 1):
            found += self.records_of(message.body, f"message {at}")
        return Page(found[:limit], None, end=True)

    async def receive(self, state: Any, limit: int) -> Received:
        if self._consumer is not None:
            async with self._broker.trouble(self._named, "read"):
                return StreamedMessages(await self._consumer.take(min(limit, self._options.prefetch)), self._options)
        left = _Left.of(state) if state is not None else await self._at_the_start()
        wanted = min(limit, self._options.prefetch, *(() if left.messages is None else (left.messages,)))
        if not wanted:
            received = ReceivedMessages(None, (), self._options, left)
            received.end = True
            return received
        received = await self._taken(wanted, left)
        received.end = len(received.messages) < wanted or (received.left.messages == 0 and not received.left.again)
        return received

    def recounted(self, state: Any, known: int) -> Any:
        return _Left.of(state).recounted(known).state

    async def acknowledge_kept(self, page: ReceivedPage) -> None:
        """Look among the first messages, where those stand that were given back, and acknowledge those of the page.
        One without an id cannot be told from others, and remains."""
        kept = {identity_of(KeptMessage.decoded(each), self._options) for each in page.bodies} - {None}
        if not kept:
            return
        async with self._broker.errand(self._named, "read") as channel:  # when it is closed, the others go back
            most = len(page.bodies) + page.known
            for each in await self._consumed(channel, most, min(self._idle, _AGAIN_SECONDS)):
                if identity_of(KeptMessage.of(each), self._options) in kept:
                    await uninterrupted(channel.basic_ack(each.delivery_tag or 0))

    def records_of(self, body: bytes, position: str) -> Sequence[ReadRecord]:
        return records_of(KeptMessage.decoded(body), position, self._options)

    async def close(self) -> None:
        if self._consumer is not None:
            await self._consumer.close()
        await self._broker.close()

    async def _at_the_start(self) -> _Left:
        """Return how many messages a run takes that begins now."""
        limits = [self._options.limit] if self._options.limit is not None else []
        if self._options.until == "backlog":
            limits.append(await self.count())
        return _Left(min(limits, default=None))

    async def _depth(self, channel: aiormq.Channel) -> int:
        declared = await uninterrupted(channel.queue_declare(self._queue, passive=True))
        return int(declared.message_count or 0)

    async def _taken(self, wanted: int, left: _Left) -> ReceivedMessages:
        """Take so many messages, or those that come until none has come for `idle_timeout`. The broker sends no more
        than are wanted, because none is acknowledged meanwhile."""
        async with self._broker.trouble(self._named, "read"):
            channel = await self._broker.channel()
            try:
                delivered = await self._consumed(channel, wanted, self._idle)
            except BaseException:
                await uninterrupted(channel.close())
                raise
            return ReceivedMessages(channel, delivered, self._options, left)

    async def _consumed(self, channel: aiormq.Channel, wanted: int, patience: float) -> list[DeliveredMessage]:
        """Return so many messages, or those that come until none has come for so many seconds."""
        arrived: asyncio.Queue[DeliveredMessage | None] = asyncio.Queue()  # holds at most what is wanted

        async def take(message: DeliveredMessage) -> None:
            arrived.put_nowait(message)

        async def stop(_: object) -> None:
            arrived.put_nowait(None)

        channel.closing.add_done_callback(lambda _: arrived.put_nowait(None))
        channel.on_consumer_cancel_callbacks.add(stop)
        await uninterrupted(channel.basic_qos(prefetch_count=wanted))
        consumer = (await uninterrupted(channel.basic_consume(self._queue, take))).consumer_tag or ""
        found: list[DeliveredMessage] = []
        while len(found) < wanted:
            try:
                async with asyncio.timeout(patience):
                    message = await arrived.get()
            except TimeoutError:
                break
            if message is None:
                await uninterrupted(channel.queue_declare(self._queue, passive=True))  # tells what is wrong
                break
            found.append(message)
        await uninterrupted(channel.basic_cancel(consumer))
        while not arrived.empty():
            if (late := arrived.get_nowait()) is not None:
                found.append(late)
        return found


def _is_again(message: DeliveredMessage) -> bool:
    """Tell whether the broker has delivered a message before."""
    return isinstance(message.delivery, spec.Basic.Deliver) and bool(message.delivery.redelivered)
