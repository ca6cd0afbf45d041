"""Sends the acknowledgements of one channel. Those of the same moment become one, where no message before them is still
unacknowledged: an acknowledgement of its own for each message costs the broker and this process more than the message's
way through the queue.

The broker writes each acknowledgement to its disk, so they wait a little for others. They do not wait for longer than
messages could be missed for it: those of half the prefetch limit are sent at once. A process that is killed meanwhile
has its messages delivered again, as one that is killed before it acknowledges has."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any

import aiormq
from aiormq.exceptions import ChannelInvalidStateError

HELD_SECONDS = 0.02
"""The most seconds that an acknowledgement waits for others."""
SENT_WITHIN = 1.0
"""The most seconds that are waited for acknowledgements which the connection does not take."""


class Acknowledgements:
    """Knows which messages of a channel are unacknowledged. Where the channel is closed nothing is sent or raised: its
    messages are delivered again."""

    def __init__(self, channel: aiormq.Channel) -> None:
        self._channel = channel
        self._unacknowledged: dict[int, None] = {}
        """The tags of delivered messages, in the order of their delivery."""
        self._ready: set[int] = set()
        self._sending: asyncio.Task[None] | None = None
        self._due: asyncio.TimerHandle | None = None
        self.prefetch = 1
        """Is the limit of the channel's consumer."""

    @property
    def is_closed(self) -> bool:
        """Say whether the channel is closed."""
        return self._channel.is_closed

    def arrived(self, tag: int) -> None:
        """Take note of a delivered message."""
        self._unacknowledged[tag] = None

    def ack(self, tag: int) -> None:
        """Acknowledge a message, together with those that are acknowledged within `HELD_SECONDS`, or before they are
        half the prefetch limit."""
        self._ready.add(tag)
        if 2 * len(self._ready) >= self.prefetch:
            self._begin()
        elif self._due is None:
            self._due = asyncio.get_running_loop().call_later(HELD_SECONDS, self._begin)

    async def nack(self, tag: int) -> None:
        """Return a message to its queue."""
        await self._settle(self._channel.basic_nack(tag, requeue=True, wait=False))
        self._unacknowledged.pop(tag, None)  # only now, so that no acknowledgement overtakes it and includes it

    async def sent(self) -> None:
        """Wait until all acknowledgements are on their way, for `SENT_WITHIN` seconds at most."""
        if self._due is not None:
            self._begin()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SENT_WITHIN):
                if self._sending is not None:
                    await asyncio.shield(self._sending)

    def _begin(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send())

    async def _send(self) -> None:
        while self._ready:
            for tag, multiple in self._taken():
                await self._settle(self._channel.basic_ack(tag, multiple=multiple, wait=False))

    def _taken(self) -> list[tuple[int, bool]]:
        """Return what to send: a tag up to which everything is acknowledged, and those after it, each for itself."""
        together = 0
        for tag in self._unacknowledged:
            if tag not in self._ready:
                break
            together = tag
        apart = sorted(tag for tag in self._ready if tag > together)
        for tag in self._ready:
            self._unacknowledged.pop(tag, None)
        self._ready.clear()
        return [*([(together, True)] if together else []), *((tag, False) for tag in apart)]

    async def _settle(self, sending: Coroutine[Any, Any, None]) -> None:
        try:
            if self._channel.is_closed or not self._channel.write_queue.full():
                await sending
            else:
                await self._settle_in_turn(sending)
        except ChannelInvalidStateError:
            return  # the channel is closed: the message is delivered again

    async def _settle_in_turn(self, sending: Coroutine[Any, Any, None]) -> None:
        """Send an acknowledgement. It ends with the channel, because aiormq would leave a task that waits for its turn
        to write waiting without end."""
        task = asyncio.ensure_future(sending)
        closing = self._channel.closing
        try:
            await asyncio.wait((task, closing), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                task.result()
        finally:
            task.cancel()
            if not self._channel.is_closed:
                closing.cancel()
