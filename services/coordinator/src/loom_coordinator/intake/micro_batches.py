"""Groups deliveries, for work that costs much less together than one by one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection

from loom_common.ports.bus import Delivery, Subscription

GROUP = 200
"""The number of deliveries in a group at most; a subscription's prefetch should be as many."""


async def groups(
    subscription: Subscription, stop: asyncio.Event, *, pace: float = 0.0, urgent: Collection[str] = ()
) -> AsyncIterator[list[Delivery]]:
    """Yield what has arrived, as soon as anything has. When `stop` is set nothing more is taken, what was taken by then
    still comes, and that is the end.

    A group that follows within `pace` seconds of its predecessor's end waits until then, and grows meanwhile; unless
    it is full, or holds a message of one of the `urgent` types. The first delivery after a silence waits for nobody."""
    arrived: asyncio.Queue[Delivery] = asyncio.Queue()
    hurry = asyncio.Event()

    async def pump() -> None:
        async for delivery in subscription:
            arrived.put_nowait(delivery)
            if delivery.type in urgent or arrived.qsize() >= GROUP - 1:  # one more may be in flight
                hurry.set()

    pumping = asyncio.create_task(pump())
    stopping = asyncio.create_task(stop.wait())
    resting = asyncio.create_task(asyncio.sleep(0))
    try:
        while not stop.is_set():
            getting = asyncio.create_task(arrived.get())
            await asyncio.wait({getting, stopping, pumping}, return_when=asyncio.FIRST_COMPLETED)
            if not getting.done():
                getting.cancel()
                break
            hurrying = asyncio.create_task(hurry.wait())
            await asyncio.wait({resting, hurrying, stopping, pumping}, return_when=asyncio.FIRST_COMPLETED)
            hurrying.cancel()
            hurry.clear()
            group = [getting.result()]
            while len(group) < GROUP and not arrived.empty():
                group.append(arrived.get_nowait())
            yield group
            resting.cancel()
            resting = asyncio.create_task(asyncio.sleep(pace))
        await subscription.stop()
        await pumping
        while not arrived.empty():
            yield [arrived.get_nowait() for _ in range(min(GROUP, arrived.qsize()))]
    finally:
        for task in (pumping, stopping, resting):
            task.cancel()
        await asyncio.gather(pumping, stopping, resting, return_exceptions=True)
