"""Handles what lies in `loom.dead`: shows it without losing it, sends it where it was going, or throws it away.

A queue can only be read by taking from it. What was taken and is not acknowledged goes back in its order when the
subscription closes, also where this process dies."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from loom_common.contracts.encoding.codec import body_of
from loom_common.domain.json_values.shown import Shown
from loom_common.errors import ConfigurationError, NotFound, UnreadableMessage
from loom_common.flow import DEAD_QUEUE
from loom_common.ports.bus import Bus, Delivery, Wire

MOST = 2_000
"""Dead letters looked at in one go: they are all in this process's memory meanwhile."""

_OURS = ("loom-dead-", "loom-exchange", "loom-attempt", "x-")
"""Headers that belong to a message's death. Its new life begins with the first attempt."""


@dataclass(frozen=True, slots=True)
class DeadLetterLine(Shown):
    """Describes a dead letter on a line."""

    id: str
    type: str | None
    run_id: str | None
    """Holds the correlation id of the message."""
    by: str | None
    """The service that gave it up; None where the broker did."""
    exchange: str | None
    """Says where it was published first; None where that is not known."""
    routing_key: str
    reason: str
    """Says why it is here, in a sentence."""


@dataclass(frozen=True, slots=True)
class WholeDeadLetter(Shown):
    """Describes a dead letter with all that it says."""

    line: DeadLetterLine
    message_id: str | None
    content_encoding: str | None
    headers: Mapping[str, Any]
    """Holds JSON: the broker's own headers hold lists and tables."""
    bytes: int
    """Length of the body as it lies in the queue."""
    body: str
    """Unpacked where that can be done."""

    def as_json(self) -> dict[str, Any]:
        """Write the fields of the line, and these beside them."""
        fields = Shown.as_json(self)
        return {**fields.pop("line"), **fields}


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Describes one message that no one could read or handle."""

    id: str
    """An id made of its content: two copies of a message have the same."""
    delivery: Delivery

    @staticmethod
    def of(delivery: Delivery) -> DeadLetter:
        content = "\0".join((delivery.message_id or "", delivery.routing_key)).encode() + b"\0" + delivery.body
        return DeadLetter(hashlib.sha256(content).hexdigest()[:12], delivery)

    @property
    def reason(self) -> str:
        """Tell why it is here, as the service or the broker that sent it here says."""
        headers = self.delivery.headers
        if "loom-dead-reason" in headers:
            return str(headers["loom-dead-reason"])
        if "x-first-death-reason" in headers:
            return f"the broker gave it up in {headers.get('x-first-death-queue')}: {headers['x-first-death-reason']}"
        return "not said"

    @property
    def exchange(self) -> str | None:
        """Tell where it was published first; None where nobody noted it."""
        for name in ("loom-exchange", "x-first-death-exchange"):
            if name in self.delivery.headers:
                return str(self.delivery.headers[name])
        return None

    def summary(self) -> DeadLetterLine:
        """Return the letter on a line."""
        delivery = self.delivery
        by = delivery.headers.get("loom-dead-by")
        return DeadLetterLine(
            id=self.id,
            type=delivery.type,
            run_id=delivery.correlation_id,
            by=None if by is None else str(by),
            exchange=self.exchange,
            routing_key=delivery.routing_key,
            reason=self.reason,
        )

    def whole(self) -> WholeDeadLetter:
        """Return the letter with its headers and its body."""
        try:
            body = body_of(self.delivery)
        except UnreadableMessage:
            body = self.delivery.body
        return WholeDeadLetter(
            line=self.summary(),
            message_id=self.delivery.message_id,
            content_encoding=self.delivery.content_encoding,
            headers={name: _plain(value) for name, value in self.delivery.headers.items()},
            bytes=len(self.delivery.body),
            body=body.decode(errors="replace"),
        )

    def revived(self) -> Wire:
        """Return the message on its way to where it was going. Raises `ConfigurationError` where that is not known."""
        if self.exchange is None:
            raise ConfigurationError(
                f"{self.id} does not say which exchange it was published to; it can be shown and discarded."
            )
        headers = {
            name: value
            for name, value in self.delivery.headers.items()
            if isinstance(value, str | int) and not name.startswith(_OURS)
        }
        return Wire.of_delivery(self.delivery, self.exchange, headers)


@asynccontextmanager
async def taken(bus: Bus, most: int = MOST, quiet_seconds: float = 2.0) -> AsyncIterator[list[DeadLetter]]:
    """Take at most so many dead letters, oldest first. Those that are not acknowledged in the block go back.

    What somebody else has taken meanwhile is not waited for longer than `quiet_seconds`."""
    wanted = min(most, await bus.depth(DEAD_QUEUE))
    if not wanted:
        yield []
        return
    subscription = await bus.subscribe(DEAD_QUEUE, prefetch=wanted)
    letters: list[DeadLetter] = []
    try:
        deliveries = aiter(subscription)
        try:
            while len(letters) < wanted:
                async with asyncio.timeout(quiet_seconds):
                    letters.append(DeadLetter.of(await anext(deliveries)))
        except (TimeoutError, StopAsyncIteration):
            pass
        yield letters
    finally:
        await subscription.close()


async def replay(bus: Bus, letters: Collection[DeadLetter]) -> None:
    """Send each where it was going, confirmed; only then is it gone from here. Raises `Unroutable`, and
    `ConfigurationError` before anything is sent where one does not say where it was going."""
    for letter, wire in [(letter, letter.revived()) for letter in letters]:
        await bus.publish([wire])
        await letter.delivery.ack()


async def discard(letters: Collection[DeadLetter]) -> None:
    """Discard dead letters for good."""
    for letter in letters:
        await letter.delivery.ack()


def chosen(letters: Collection[DeadLetter], ids: Collection[str]) -> list[DeadLetter]:
    """Choose those of these ids, or of ids that begin so. Raises `NotFound` for one that is not there."""
    for name in ids:
        if not any(letter.id.startswith(name) for letter in letters):
            raise NotFound(f"There is no dead letter {name}: `loom-coordinator dead list` shows what there is.")
    return [letter for letter in letters if letter.id.startswith(tuple(ids))]


def _plain(value: object) -> Any:
    """Return a header as JSON has it: the broker's own hold lists, tables and times."""
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)
