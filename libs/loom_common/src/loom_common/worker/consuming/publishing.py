"""Publishes what follows from one message, the first of it while the rest is still being encoded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import TypeVar

from loom_common.ports.bus import Bus, Wire

FEW = 4
"""So many messages are encoded and published together."""
PORTION_SECONDS = 0.001
"""Says how long messages are encoded before others have their turn, among them what writes those that are encoded."""
T = TypeVar("T")


class Publishing:
    """Publishes messages in the order in which they are encoded, and waits for the confirms of all of them at the end.

    A slice of a source makes up to some hundred messages. The first tells the coordinator where the next slice begins,
    which is asked for while the others are on their way."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._begun: list[asyncio.Task[None]] = []

    async def encoded(self, messages: Sequence[T], encode: Callable[[Sequence[T]], list[Wire]]) -> list[Wire]:
        """Encode messages, and begin to publish them where they are many. Return those that the caller publishes.
        Raises what `encode` raises; messages before may be published then."""
        if len(messages) <= FEW:
            return encode(messages)
        portion = encode(messages[:1])
        ends = 0.0
        for message in messages[1:]:
            if perf_counter() >= ends:
                self._begun.append(asyncio.create_task(self._bus.publish(portion)))
                portion = []
                await asyncio.sleep(0)
                ends = perf_counter() + PORTION_SECONDS
            portion += encode([message])
        return portion

    async def confirmed(self) -> None:
        """Wait for the confirms of what `encoded` has begun to publish. Raises as `Bus.publish` does."""
        if self._begun:
            await asyncio.gather(*self._begun)

    async def end(self) -> None:
        """Give up what is not confirmed."""
        if self._begun:
            for task in self._begun:
                task.cancel()
            await asyncio.gather(*self._begun, return_exceptions=True)
