"""Tests where messages go, what they carry, what is said when there is no way: the same in one process and on
RabbitMQ."""

import asyncio

import pytest

from loom_common.errors import TopologyMissing, Unroutable
from loom_common.flow import Binding, Exchange
from loom_common.ports.bus import Wire


async def test_a_topic_reaches_every_queue_bound_to_it_once(bus, buses):
    elsewhere = await bus.temporary_queue([Binding(Exchange.EVENTS, "batch.#")])
    await bus.publish(
        [
            Wire("loom.events", "batch.loaded.reviews", b"both"),
            Wire("loom.events", "run.finished.reviews", b"one"),
            Wire("loom.events", "batch.loaded.orders", b"other"),
        ]
    )

    bound = await buses.take(await bus.subscribe("test.events", prefetch=10), 2)
    temporary = await buses.take(await bus.subscribe(elsewhere, prefetch=10), 2)

    assert [delivery.body for delivery in bound] == [b"both", b"one"]
    assert [delivery.body for delivery in temporary] == [b"both", b"other"]
    assert await bus.depth("test.events") == 0


async def test_the_direct_exchange_reaches_the_queue_of_that_name(bus, buses):
    await bus.publish([Wire("", "test.work", b"1")])
    (delivery,) = await buses.take(await bus.subscribe("test.work", prefetch=1), 1)
    assert (delivery.body, delivery.exchange, delivery.routing_key) == (b"1", "", "test.work")


@pytest.mark.parametrize("exchange, key", [("loom.work", "transform.reviews"), ("", "no.such.queue")])
async def test_a_mandatory_message_that_reaches_no_queue_is_refused_by_name(bus, buses, exchange, key):
    neighbour = Wire("loom.work", "load.reviews", b"1", message_id="1")
    with pytest.raises(Unroutable, match=rf"{exchange or 'direct'}.*/{key}"):
        await bus.publish([Wire(exchange, key, b"0", message_id="0"), neighbour])
    (delivery,) = await buses.take(await bus.subscribe("test.work", prefetch=1), 1)
    assert delivery.body == b"1"


async def test_a_message_that_need_not_arrive_may_reach_no_queue(bus):
    await bus.publish([Wire("loom.work", "transform.reviews", b"1", mandatory=False)])
    assert await bus.depth("test.work") == 0


async def test_an_exchange_that_is_not_there_is_refused_by_name(bus, buses):
    with pytest.raises(Unroutable, match=r"no exchange loom\.nowhere.*topology apply"):
        await bus.publish([Wire("loom.nowhere", "load.reviews", b"1", message_id="1")])
    await bus.publish([Wire("loom.work", "load.reviews", b"2", message_id="2")])
    (delivery,) = await buses.take(await bus.subscribe("test.work", prefetch=1), 1)
    assert delivery.body == b"2"


async def test_one_of_two_messages_with_the_same_id_is_refused_where_only_one_has_a_way(bus, buses):
    routed, lost = (Wire("loom.work", key, b"1", message_id="same") for key in ("load.reviews", "transform.reviews"))
    with pytest.raises(Unroutable, match=r"transform\.reviews"):
        await bus.publish([lost, routed])
    with pytest.raises(Unroutable, match=r"transform\.reviews"):
        await bus.publish([routed, lost])


async def test_published_means_the_broker_has_it(bus):
    await bus.publish([Wire("loom.work", "load.reviews", b"%d" % n, message_id=str(n)) for n in range(50)])
    assert await bus.depth("test.work") == 50


async def test_publishing_nothing_is_nothing(bus):
    await bus.publish([])
    assert await bus.depth("test.work") == 0


async def test_many_publishers_at_once_lose_nothing(bus, buses):
    async def publish(publisher: int) -> None:
        for number in range(10):
            name = f"{publisher}-{number}"
            await bus.publish([Wire("loom.work", "load.reviews", name.encode(), message_id=name)])

    await asyncio.gather(*(publish(publisher) for publisher in range(20)))

    deliveries = await buses.take(await bus.subscribe("test.work", prefetch=200), 200)
    assert {delivery.body.decode() for delivery in deliveries} == {f"{p}-{n}" for p in range(20) for n in range(10)}


async def test_body_properties_and_headers_survive(bus, buses):
    wire = Wire(
        "loom.work",
        "load.reviews",
        bytes(range(256)) * 4096,
        type="loom.batch.evaluated.v1",
        message_id="5f0c",
        correlation_id="run-1",
        content_encoding="zstd",
        reply_to="answers",
        headers={"loom-attempt": 3, "loom-epoch": 0, "traceparent": "00-ä"},
    )
    await bus.publish([wire])

    (delivery,) = await buses.take(await bus.subscribe("test.work", prefetch=1), 1)

    for name in ("exchange", "routing_key", "body", "type", "message_id", "correlation_id", "content_encoding"):
        assert getattr(delivery, name) == getattr(wire, name), name
    assert (delivery.reply_to, dict(delivery.headers)) == ("answers", dict(wire.headers))


async def test_what_a_message_does_not_carry_is_none(bus, buses):
    await bus.publish([Wire("loom.work", "load.reviews", b"", message_id="1")])
    (delivery,) = await buses.take(await bus.subscribe("test.work", prefetch=1), 1)
    assert delivery.body == b""
    assert delivery.type is None
    assert delivery.correlation_id is None
    assert delivery.content_encoding is None
    assert delivery.reply_to is None
    assert dict(delivery.headers) == {}


async def test_a_request_is_answered_on_a_temporary_queue(bus, buses):
    client = await buses.connect()
    answers = await client.temporary_queue()
    await client.publish([Wire("loom.work", "load.reviews", b"?", correlation_id="7", reply_to=answers)])
    (request,) = await buses.take(await bus.subscribe("test.work", prefetch=1), 1)
    await bus.publish([Wire("", request.reply_to, b"!", correlation_id=request.correlation_id)])

    (answer,) = await buses.take(await client.subscribe(answers, prefetch=1), 1)

    assert (answer.body, answer.correlation_id) == (b"!", "7")


async def test_a_temporary_queue_survives_a_change_of_prefetch(bus, buses):
    queue = await bus.temporary_queue([Binding(Exchange.EVENTS, "run.*.*")])
    subscription = await bus.subscribe(queue, prefetch=1)
    await subscription.set_prefetch(5)
    await bus.publish([Wire("loom.events", "run.finished.orders", b"1")])
    assert [delivery.body for delivery in await buses.take(subscription, 1)] == [b"1"]


async def test_a_temporary_queue_is_gone_with_its_connection(bus, buses):
    client = await buses.connect()
    queue = await client.temporary_queue([Binding(Exchange.EVENTS, "only.here")])
    await bus.publish([Wire("loom.events", "only.here", b"1")])
    await client.close()
    with pytest.raises(TopologyMissing, match=queue):
        await bus.subscribe(queue, prefetch=1)
    with pytest.raises(Unroutable):
        await bus.publish([Wire("loom.events", "only.here", b"2")])


async def test_a_temporary_queue_cannot_be_bound_to_an_exchange_that_is_not_there(buses):
    with pytest.raises(TopologyMissing, match=r"loom\.events"):
        await (await buses.connect()).temporary_queue([Binding(Exchange.EVENTS, "run.#")])


async def test_declaring_again_keeps_what_is_there(bus, buses):
    await bus.publish([Wire("loom.work", "load.reviews", b"1")])
    await (await buses.connect()).declare(buses.topology)
    assert await bus.depth("test.work") == 1


async def test_a_complete_topology_passes_the_check(bus, buses):
    await (await buses.connect()).check(buses.topology)


async def test_the_check_names_everything_that_is_missing_and_the_remedy(buses):
    bus = await buses.connect()
    with pytest.raises(TopologyMissing) as missing:
        await bus.check(buses.topology)
    for name in (*buses.topology.exchanges, *(queue.name for queue in buses.topology.queues)):
        assert name in str(missing.value)
    assert "loom-coordinator topology apply" in str(missing.value)


async def test_a_queue_that_is_not_there_cannot_be_consumed_nor_measured(bus):
    with pytest.raises(TopologyMissing, match=r"queue no\.such\.queue.*topology apply"):
        await bus.subscribe("no.such.queue", prefetch=1)
    with pytest.raises(TopologyMissing, match=r"queue no\.such\.queue"):
        await bus.depth("no.such.queue")


async def test_a_prefetch_below_one_is_refused(bus):
    with pytest.raises(ValueError, match="at least 1, not 0"):
        await bus.subscribe("test.work", prefetch=0)
