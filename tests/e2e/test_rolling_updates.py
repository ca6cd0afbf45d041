"""Tests that a rolling update of each service, under load, loses no record of a stream, doubles none, pays for no call
twice and leaves nothing to be done again."""

from __future__ import annotations

import asyncio

from support.cluster import NAMES
from support.cluster_streams import ClusterStream, ids_in, named, stream_on
from support.projects import ai
from support.queues import message
from support.redeliveries import redelivered
from support.simulated_model import SimulatedModel

SURE = {"name": "sure", "type": "range", "field": "confidence", "min": 0, "max": 1, "threshold": 1.0}
AT_ONCE = 20
"""The most records that are under way while services are replaced."""


class Load:
    """Lets records arrive for as long as the block lasts: some that are loaded, and now and then one without a key,
    which is kept back."""

    def __init__(self, stream: ClusterStream) -> None:
        self._stream = stream
        self._over = asyncio.Event()
        self.without_key = 0

    async def __aenter__(self) -> Load:
        self._task = asyncio.create_task(self._arrive())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._over.set()
        await self._task

    async def _arrive(self) -> None:
        while not self._over.is_set():
            await self._stream.arrive(5)
            self.without_key += 1
            await self._stream.queues.put(self._stream.name, message({"review": "?"}, f"bad{self.without_key}"))
            await self._stream.until_loaded(self._stream.arrived - AT_ONCE)

    async def goes_on(self) -> None:
        """Wait until records are loaded that arrive from now on."""
        await self._stream.until_loaded(self._stream.arrived + 1)


async def test_each_service_is_replaced_under_load_and_nothing_is_lost_doubled_or_paid_twice(cluster, servers):
    before = await redelivered(servers.rabbitmq, cluster.bus_url)
    async with SimulatedModel(
        latency=0.5
    ) as model:  # so that the transformer has calls in flight when it is told to end
        transform = ai(model.base_url)
        evaluate = {"evaluators": [SURE], "quality_gate": "all_pass"}
        window = {"every": "1h", "records": 100}
        stages = {"transform": transform, "evaluate": evaluate}
        async with stream_on(cluster, named("rolled"), window=window, **stages) as stream:
            async with Load(stream) as load:
                await load.goes_on()
                for name in NAMES:
                    assert await cluster.roll(name, f"{name}.2") == 0, cluster.words(name)
                    await load.goes_on()
            await stream.drained(kept=load.without_key)
            assert len(await ids_in(cluster, stream.name)) == model.calls
        assert set(model.asked.values()) == {1}
    assert await redelivered(servers.rabbitmq, cluster.bus_url) == before
    await cluster.serve()
    cluster.reduce()
