"""Tests that records of one key stay in sequence on a cluster whose services are killed with SIGKILL."""

from __future__ import annotations

from support.cluster_streams import named
from support.in_sequence import ObservingModel, expected, loaded_on, messages, ordered_on

KILLED = ("transformer", "loader", "extractor", "coordinator")


async def test_a_sequence_outlives_the_services(cluster):
    await cluster.serve(transformer=2, loader=2)
    try:
        async with ObservingModel() as model, ordered_on(cluster, model, named("killed_in_sequence")) as stream:
            for at, service in enumerate(KILLED):
                await stream.queues.put(stream.name, *messages(range(24 * at, 24 * at + 24)))
                await stream.until_loaded(24 * at + 6)
                cluster.kill(service)
                await cluster.serve(transformer=2, loader=2)
            await stream.until_loaded(24 * len(KILLED))
            await stream.ended()
            found = await loaded_on(cluster, stream.name)
    finally:
        cluster.reduce()
    assert found == expected(24 * len(KILLED))
