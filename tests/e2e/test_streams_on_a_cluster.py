"""Tests streams on a cluster: opened by a message or from the command line, commanded, and taken over by a new
version."""

from __future__ import annotations

import json

import aio_pika

from support.clients import settles
from support.cluster_streams import ids_in, named, stream_on, streaming, until_loaded
from support.command import Command, loom
from support.projects import review_ids
from support.queues import queues_at, reviews


async def test_a_stream_is_paused_and_taken_over_by_new_versions_without_a_gap(cluster):
    async with stream_on(cluster, named("taken_over")) as stream:
        await stream.arrive(25)
        await stream.until_loaded(25)
        await stream.session.pause(stream.following.stream)
        await stream.following.paused()
        assert [row["status"] for row in await stream.windows()][-1] == "paused"
        stream.made.say(version="2.0.0")
        assert (await stream.opened()).stream == stream.following.stream
        await stream.until_version("2.0.0")
        await stream.arrive(5)
        await stream.until_loaded(30)
        stream.made.say(version="3.0.0")  # while it is at work
        await stream.opened()
        await stream.until_version("3.0.0")
        await stream.arrive(5)
        await stream.drained()
        found = [(row["version"], row["records"]) for row in await stream.windows() if row["records"]]
    assert found == [("1.0.0", 20), ("1.0.0", 5), ("2.0.0", 5), ("3.0.0", 5)]


async def test_a_stream_that_a_message_opened_is_followed_and_drained_from_the_command_line(cluster):
    name = named("by_message")
    made = streaming(cluster, name)
    config = ("--config", str(cluster.project / "loom.yaml"))
    async with queues_at(cluster.bus_url) as queues:
        await queues.declare(name)
        await queues.put(name, *reviews(range(30)))
        request = {"definition": {**made.definition}, "requested_by": "a plain client"}
        exchange = await queues.channel.get_exchange("loom.runs", ensure=False)
        await exchange.publish(aio_pika.Message(json.dumps(request).encode()), "run.request")
        await until_loaded(cluster, name, 30)
        ((stream_id,),) = [
            row.values() for row in await cluster.rows("SELECT stream_id FROM streams WHERE pipeline_name = $1", name)
        ]
        followed = await Command.begin(made.folder, "run", name, *config)
        assert await followed.says("goes on with window")  # else it could begin another stream, after the drain

        async def counted() -> bool:
            """Tell whether the stream runs, and its facts of what is loaded have been counted."""
            shown = await loom(made.folder, "status", stream_id, *config)
            return f"{stream_id}: running" in shown.out and "records      30, of which 30 passed" in shown.out

        await settles(counted, True)
        drained = await loom(made.folder, "drain", stream_id, *config)
        ended = await followed.end()
    assert (drained.code, ended.code) == (0, 0), drained.err + ended.err
    assert f"{stream_id} goes on with window" in ended.err
    assert f"{stream_id} is drained" in ended.err
    assert await ids_in(cluster, name) == review_ids(30)
