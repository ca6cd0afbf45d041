"""Runs the consumers of a service: a worker for each, and an epoch guard and a control channel that they share."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial

from loom_common.contracts.v1 import PrefetchLimit, RunEpoch
from loom_common.service.bootstrap import Platform
from loom_common.service.control_channel import ControlChannel
from loom_common.worker.consumer_spec import ConsumerSpec
from loom_common.worker.epoch_guard import EpochGuard
from loom_common.worker.worker import Worker


class StageService:
    """Runs workers, one per consumer, and an epoch guard that they share."""

    def __init__(
        self,
        name: str,
        consumers: Sequence[ConsumerSpec],
        platform: Platform,
        close: Callable[[], contextlib.AbstractAsyncContextManager[None]] | None = None,
        hear: Callable[[RunEpoch], Awaitable[None]] | None = None,
    ) -> None:
        """`hear` is told of runs that were paused, resumed or cancelled, beside the guard."""
        self._hear = hear
        self._name = name
        self._consumers = consumers
        self._platform = platform
        self._stats = [platform.stats.consumer(consumer.queue) for consumer in consumers]
        self._close = close or contextlib.nullcontext

    async def run(self, stop: asyncio.Event) -> None:
        guard = EpochGuard()
        settings = self._platform.settings
        drain = settings.worker.drain_seconds
        workers = [
            Worker(
                self._name,
                consumer,
                self._platform.bus,
                guard,
                drain,
                stats,
                self._platform.clock,
                replaceable=not settings.embedded,
                carrier=self._platform.carrier,
            )
            for consumer, stats in zip(self._consumers, self._stats, strict=True)
        ]
        control = ControlChannel(self._platform.bus, self._name)
        control.on(RunEpoch, partial(_both_hear, guard, self._hear))
        control.on(PrefetchLimit, lambda limit: _all_heed(workers, limit))
        following = asyncio.create_task(control.follow())
        async with self._close():
            try:
                async with asyncio.TaskGroup() as tasks:
                    for worker in workers:
                        tasks.create_task(self._platform.watchdog.watched(worker.run(stop)))
            finally:
                await control.stop()
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)


async def _both_hear(guard: EpochGuard, hear: Callable[[RunEpoch], Awaitable[None]] | None, said: RunEpoch) -> None:
    await guard.hear(said)
    if hear is not None:
        await hear(said)


async def _all_heed(workers: Iterable[Worker], limit: PrefetchLimit) -> None:
    for worker in workers:
        await worker.heed(limit)
