"""How a bus says it stands, asking nobody: what readiness is told from."""

from loom_common.ports.bus import Consumer


async def test_a_bus_is_connected_until_it_is_closed(bus):
    assert bus.standing().connected
    await bus.close()
    assert not bus.standing().connected


async def test_a_consumer_stands_with_its_limit_until_it_is_stopped(bus):
    assert not bus.standing().consumes("test.work")

    subscription = await bus.subscribe("test.work", prefetch=3)
    assert bus.standing().consumers == (Consumer("test.work", 3, active=True),)
    assert bus.standing().consumes("test.work")
    assert not bus.standing().consumes("test.events")

    await subscription.set_prefetch(7)
    assert bus.standing().prefetch("test.work") == 7

    await subscription.stop()
    assert not bus.standing().consumes("test.work")
    assert bus.standing().prefetch("test.work") == 0


async def test_a_queue_is_consumed_while_any_of_its_subscriptions_is(bus):
    first = await bus.subscribe("test.work", prefetch=3)
    await bus.subscribe("test.work", prefetch=2)
    assert bus.standing().prefetch("test.work") == 5
    await first.close()
    assert bus.standing().consumes("test.work")
    assert bus.standing().prefetch("test.work") == 2
