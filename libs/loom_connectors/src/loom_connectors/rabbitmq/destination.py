"""Publishes rows to an exchange, each as a message whose id is the same whenever it is published again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import orjson
from aiormq.exceptions import ChannelAccessRefused, ChannelClosed, ChannelNotFoundEntity, PublishError

from loom_common.adapters.amqp.channel import Failures
from loom_common.adapters.amqp.uninterrupted import uninterrupted
from loom_common.errors import DependencyUnavailable, DestinationError
from loom_common.ports.bus import Wire
from loom_connectors.ports.destination import FailedRow, Guarantee, LoadBatch, LoadResult, Row
from loom_connectors.rabbitmq.address import Address
from loom_connectors.rabbitmq.broker import Broker
from loom_connectors.rabbitmq.options import ExchangeOptions
from loom_connectors.rabbitmq.templates import Unfilled, filled

_LONGEST_KEY = 255
"""The most bytes of a routing key or of an id, by AMQP."""


class ExchangeDestination:
    """Represents an exchange as a `Destination`. A message is persistent, and confirmed by the broker."""

    def __init__(self, address: Address, exchange: str, routing_key: str, options: ExchangeOptions) -> None:
        self._broker = Broker(address, "load.destination", DestinationError)
        self._exchange = exchange
        self._routing_key = routing_key
        self._options = options
        self.location = f"{address.shown}?exchange={exchange}"

    @property
    def guarantee(self) -> Guarantee:
        return Guarantee.MESSAGE_ID

    @property
    def effect(self) -> str:
        return "every run publishes its rows"

    @property
    def stages(self) -> bool:
        return False

    @property
    def _named(self) -> str:
        return f"the exchange '{self._exchange}'"

    async def check(self) -> None:
        async with self._broker.errand(self._named, "write") as channel:
            if self._exchange:
                await uninterrupted(channel.exchange_declare(self._exchange, passive=True))

    async def load(self, batch: LoadBatch) -> LoadResult:
        failed: list[FailedRow] = []
        messages: list[tuple[Row, Wire]] = []
        for thread, row in batch.threads.items():
            try:
                messages.append((row, self._message(thread, row)))
            except Unfilled as error:
                failed.append(FailedRow(row.record_id, "no_message", f"{error}."))
        async with self._broker.trouble(self._named, "write"):
            failed += await self._published(messages)
        order = {row.record_id: at for at, row in enumerate(batch.rows)}
        failed.sort(key=lambda each: order[each.record_id])
        return LoadResult(len(batch.rows) - len(failed), tuple(failed))

    async def finalize(self, run_id: str, *, complete: bool, keep: bool = False) -> bool:
        """Return True: consumers find each message once it is published."""
        return True

    async def drop(self, run_id: str) -> bool:
        """Return True, because nothing is staged."""
        return True

    async def close(self) -> None:
        await self._broker.close()

    def _message(self, thread: str, row: Row) -> Wire:
        """Return the message of a row. Raises `Unfilled`."""
        options = self._options
        key = filled(self._routing_key, row.values)
        name = thread if options.message_id is None else filled(options.message_id, row.values)
        for what, text in (("routing key", key), ("message id", name)):
            if len(text.encode("utf-8", "surrogatepass")) > _LONGEST_KEY:
                raise Unfilled(f"the {what} '{text[:40]}...' is longer than {_LONGEST_KEY} bytes")
        return Wire(
            exchange=self._exchange,
            routing_key=key,
            body=_body(row.values),
            type=options.type or "",
            message_id=name,
            content_type=options.content_type,
            headers={each: filled(template, row.values) for each, template in options.headers.items()},
            mandatory=options.mandatory,
        )

    async def _published(self, messages: Sequence[tuple[Row, Wire]]) -> list[FailedRow]:
        """Publish messages, and return those that the broker does not take. Those of one id follow one another, because
        the broker tells a returned message by its id alone."""
        failed: list[FailedRow] = []
        rest = list(messages)
        while rest:
            together: dict[str, tuple[Row, Wire]] = {}
            later = [each for each in rest if together.setdefault(each[1].message_id, each) is not each]
            failed += await self._published_together(list(together.values()))
            rest = later
        return failed

    async def _published_together(self, messages: Sequence[tuple[Row, Wire]]) -> list[FailedRow]:
        rows = {message.message_id: row for row, message in messages}
        failed, apart = [], []
        for message, error in await self._sent([message for _, message in messages]):
            if isinstance(error, PublishError):
                failed.append(self._unroutable(rows[message.message_id], message))
            elif isinstance(error, ChannelClosed) and not isinstance(
                error, ChannelNotFoundEntity | ChannelAccessRefused
            ):
                apart.append(message)  # one of them made the broker close the channel
            else:
                raise error
        for message in apart:
            for _, error in await self._sent([message]):
                if isinstance(error, PublishError):
                    failed.append(self._unroutable(rows[message.message_id], message))
                elif isinstance(error, ChannelClosed):
                    words = f"RabbitMQ does not take its message of {len(message.body)} bytes: {error}."
                    failed.append(FailedRow(rows[message.message_id].record_id, "refused", words))
                else:
                    raise error
        return failed

    async def _sent(self, messages: list[Wire]) -> Failures:
        outlet = await self._broker.publishing_channel()
        try:
            failures = await outlet.send(messages)
        finally:
            if not outlet.is_closed:
                await outlet.close()
        for message, error in failures:
            if not isinstance(error, PublishError | ChannelClosed | ConnectionError | asyncio.CancelledError):
                raise DependencyUnavailable(
                    f"RabbitMQ at {self._broker.shown} did not confirm a message to {self._exchange}/"
                    f"{message.routing_key}: {error}. Check the limits of its queues."
                ) from error
        return failures

    def _unroutable(self, row: Row, message: Wire) -> FailedRow:
        return FailedRow(
            row.record_id,
            "unroutable",
            f"No queue is bound to the exchange '{self._exchange}' for the routing key '{message.routing_key}'.",
        )


def _body(values: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(values)
    except TypeError:  # an integer of more than 64 bits
        return json.dumps(values, ensure_ascii=False).encode()
