"""Tests how long a quorum queue keeps in its log what was acknowledged."""

from __future__ import annotations

import asyncio
from pathlib import Path

from ruamel.yaml import YAML
from yarl import URL

from loom_common.adapters.amqp.bus import AmqpBus
from loom_common.flow import Binding, Exchange, Queue, Topology
from loom_common.ports.bus import Wire
from loom_dev.backends.rabbitmq import SHORT_LOGS
from loom_dev.waiting import within

QUEUE = "test.forgetting"
TOPOLOGY = Topology((Queue(QUEUE, (Binding(Exchange.WORK, "load.#"),)),))
MESSAGES = 400
"""More than half of the entries after which a queue forgets: each message is two, or less where acknowledgements are
sent together."""
FORGOTTEN = """
[Member] = rabbit_quorum_queue:status(<<"{vhost}">>, <<"{queue}">>),
proplists:get_value(<<"Snapshot Index">>, Member).
"""
"""Asks for the number of the last entry that a queue's log no longer holds; it is no number where it holds all."""


async def test_a_queue_soon_forgets_the_bodies_of_acknowledged_messages(rabbitmq, amqp_url):
    bus = await AmqpBus.connect(amqp_url, name="test")
    try:
        await bus.declare(TOPOLOGY)
        subscription = await bus.subscribe(QUEUE, prefetch=20)
        await bus.publish([Wire(Exchange.WORK, "load.x", b"x", message_id=str(each)) for each in range(MESSAGES)])
        async with within(10):
            for _ in range(MESSAGES):
                await (await anext(subscription)).ack()
    finally:
        await bus.close()

    asked = FORGOTTEN.format(vhost=URL(amqp_url).path.removeprefix("/"), queue=QUEUE)
    forgotten = ""
    async with within(10):
        while not forgotten.isdecimal():
            forgotten = (await asyncio.to_thread(rabbitmq.ctl, "eval", asked)).strip()
    assert int(forgotten) > MESSAGES


def test_the_broker_of_compose_forgets_as_soon_as_the_one_that_is_tested_and_measured():
    compose = YAML(typ="safe").load(Path(__file__).parents[3] / "docker-compose.yml")
    assert compose["services"]["rabbitmq"]["environment"]["RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS"] == SHORT_LOGS
