"""Tests how messages come, are acknowledged, come back, and wait: the same in one process and on RabbitMQ."""

import time

from loom_common import flow
from loom_common.contracts.encoding.codec import decode, encode
from loom_common.contracts.envelope import Outgoing
from loom_common.contracts.v1 import BatchEvaluated, EvaluatedRecord
from loom_common.ports.bus import Wire
from support.plans import batch_of, plan_of


def work(*bodies: bytes) -> list[Wire]:
    return [Wire("loom.work", "load.reviews", body, message_id=body.decode()) for body in bodies]


def bodies(deliveries) -> list[bytes]:
    return [delivery.body for delivery in deliveries]


async def test_messages_come_in_the_order_they_were_published(bus, buses):
    numbers = [b"%d" % number for number in range(100)]
    await bus.publish(work(*numbers[:60]))
    await bus.publish(work(*numbers[60:]))

    subscription = await bus.subscribe("test.work", prefetch=100)

    assert bodies(await buses.take(subscription, 100)) == numbers


async def test_a_batch_is_read_as_it_was_sent_also_when_it_is_delivered_again(bus, buses):
    header = batch_of(plan_of({"type": "passthrough"}), []).header
    record = EvaluatedRecord("1", {"text": "é", "n": 2**70, "parts": [1.5, None, {"x": True}]}, None, scores={"a": 1.0})
    batch = BatchEvaluated(header=header, records=(record,))
    work = Outgoing(flow.work(flow.Stage.LOAD, "reviews"), batch)
    await bus.publish([encode(work, "test", hands_over=bus.hands_over)])
    subscription = await bus.subscribe("test.work", prefetch=1)

    for _ in range(2):
        (delivery,) = await buses.take(subscription, 1)
        assert decode(delivery, BatchEvaluated) == batch
        assert delivery.message_id == batch.message_id
        await delivery.nack()


async def test_a_first_delivery_is_not_marked(bus, buses):
    await bus.publish(work(b"1"))
    (delivery,) = await buses.take(await bus.subscribe("test.work", prefetch=1), 1)
    assert (delivery.redelivered, delivery.deliveries) == (False, 0)


async def test_an_acknowledged_message_does_not_come_again(bus, buses):
    await bus.publish(work(b"1", b"2"))
    first = await bus.subscribe("test.work", prefetch=1)
    (delivery,) = await buses.take(first, 1)
    await delivery.ack()
    await first.close()

    second = await bus.subscribe("test.work", prefetch=10)

    assert bodies(await buses.take(second, 1)) == [b"2"]
    assert await bus.depth("test.work") == 0


async def test_what_a_lost_consumer_held_comes_back_in_order_and_marked(bus, buses):
    await bus.publish(work(b"1", b"2", b"3", b"4", b"5"))
    doomed = await buses.connect()
    held = await buses.take(await doomed.subscribe("test.work", prefetch=3), 3)
    await held[0].ack()
    await doomed.close()

    deliveries = await buses.take(await bus.subscribe("test.work", prefetch=10), 4)

    assert bodies(deliveries) == [b"2", b"3", b"4", b"5"]
    assert [delivery.redelivered for delivery in deliveries[:2]] == [True, True]
    assert [delivery.deliveries for delivery in deliveries[:2]] == [1, 1]
    assert not deliveries[3].redelivered


async def test_a_rejected_message_comes_back_before_later_ones_and_is_counted(bus, buses):
    await bus.publish(work(b"1", b"2"))
    subscription = await bus.subscribe("test.work", prefetch=1)
    seen = []
    for _ in range(3):
        (delivery,) = await buses.take(subscription, 1)
        seen.append((delivery.body, delivery.redelivered, delivery.deliveries))
        await delivery.nack()

    assert seen == [(b"1", False, 0), (b"1", True, 1), (b"1", True, 2)]


async def test_a_message_delivered_a_hundred_times_too_often_is_kept_with_the_dead(bus, buses):
    await bus.publish(work(b"poison", b"next"))
    subscription = await bus.subscribe("test.work", prefetch=1)
    for _ in range(101):
        (delivery,) = await buses.take(subscription, 1)
        assert delivery.body == b"poison"
        await delivery.nack()

    (dead,) = await buses.take(await bus.subscribe("test.dead", prefetch=1), 1)

    assert (dead.body, dead.exchange, dead.routing_key) == (b"poison", "loom.dead", "load.reviews")
    assert bodies(await buses.take(subscription, 1)) == [b"next"]


async def test_a_subscription_holds_no_more_than_its_prefetch(bus, buses):
    await bus.publish(work(b"1", b"2", b"3", b"4", b"5"))
    slow = await bus.subscribe("test.work", prefetch=2)
    held = await buses.take(slow, 2)

    others = await buses.take(await bus.subscribe("test.work", prefetch=10), 3)

    assert bodies(held) == [b"1", b"2"]
    assert bodies(others) == [b"3", b"4", b"5"]


async def test_an_acknowledgement_makes_room_for_the_next_message(bus, buses):
    await bus.publish(work(b"1", b"2"))
    subscription = await bus.subscribe("test.work", prefetch=1)
    (first,) = await buses.take(subscription, 1)
    await first.ack()
    assert bodies(await buses.take(subscription, 1)) == [b"2"]


async def test_a_raised_prefetch_lets_more_through_at_once(bus, buses):
    await bus.publish(work(b"1", b"2", b"3"))
    subscription = await bus.subscribe("test.work", prefetch=1)
    held = await buses.take(subscription, 1)

    await subscription.set_prefetch(3)

    assert bodies(held + await buses.take(subscription, 2)) == [b"1", b"2", b"3"]


async def test_a_lowered_prefetch_lets_fewer_through(bus, buses):
    subscription = await bus.subscribe("test.work", prefetch=5)
    await subscription.set_prefetch(1)
    await bus.publish(work(b"1", b"2", b"3"))
    held = await buses.take(subscription, 1)

    others = await buses.take(await bus.subscribe("test.work", prefetch=5), 2)

    assert bodies(held) == [b"1"]
    assert bodies(others) == [b"2", b"3"]


async def test_changing_the_prefetch_loses_and_repeats_nothing(bus, buses):
    numbers = [b"%d" % number for number in range(60)]
    subscription = await bus.subscribe("test.work", prefetch=4)
    await bus.publish(work(*numbers))
    seen = []
    for prefetch in (8, 2, 5, 16, 1, 7):
        await subscription.set_prefetch(prefetch)
        for _ in range(10):
            (delivery,) = await buses.take(subscription, 1)
            seen.append(delivery.body)
            await delivery.ack()

    # One that RabbitMQ sends just as the old consumer goes is taken back, and comes a little later.
    assert sorted(seen, key=int) == numbers


async def test_competing_consumers_each_get_their_share(bus, buses):
    one = await bus.subscribe("test.work", prefetch=1)
    other = await (await buses.connect()).subscribe("test.work", prefetch=1)
    await bus.publish(work(b"1", b"2"))
    shares = [*await buses.take(one, 1), *await buses.take(other, 1)]
    assert sorted(bodies(shares)) == [b"1", b"2"]


async def test_after_stop_what_was_delivered_may_be_acknowledged_and_the_rest_goes_back(bus, buses):
    await bus.publish(work(b"1", b"2", b"3", b"4", b"5"))
    subscription = await bus.subscribe("test.work", prefetch=5)
    held = await buses.take(subscription, 2)

    await subscription.stop()

    assert [delivery async for delivery in subscription] == []
    successor = await bus.subscribe("test.work", prefetch=10)
    assert bodies(await buses.take(successor, 3)) == [b"3", b"4", b"5"]
    for delivery in held:
        await delivery.ack()
    await subscription.close()
    await successor.close()
    await buses.eventually(lambda: _depth_is(bus, "test.work", 3))


async def test_closing_a_subscription_gives_back_everything_in_order(bus, buses):
    await bus.publish(work(b"1", b"2", b"3"))
    subscription = await bus.subscribe("test.work", prefetch=3)
    await buses.take(subscription, 2)

    await subscription.close()

    assert bodies(await buses.take(await bus.subscribe("test.work", prefetch=3), 3)) == [b"1", b"2", b"3"]


async def test_stopping_and_closing_twice_is_once(bus, buses):
    subscription = await bus.subscribe("test.work", prefetch=1)
    await subscription.stop()
    await subscription.stop()
    await subscription.close()
    await subscription.close()
    assert [delivery async for delivery in subscription] == []


async def test_acknowledging_what_was_given_back_is_no_error_and_changes_nothing(bus, buses):
    await bus.publish(work(b"1"))
    subscription = await bus.subscribe("test.work", prefetch=1)
    (delivery,) = await buses.take(subscription, 1)
    await subscription.close()

    await delivery.ack()
    await delivery.nack()

    assert bodies(await buses.take(await bus.subscribe("test.work", prefetch=1), 1)) == [b"1"]


async def test_a_message_in_a_retry_queue_goes_back_to_work_unchanged_when_its_time_is_over(bus, buses):
    subscription = await bus.subscribe("test.work", prefetch=5)
    began = time.monotonic()
    await bus.publish(
        [
            Wire(
                "", "test.work.retry", body, type="loom.test.v1", message_id=body.decode(), headers={"loom-attempt": 2}
            )
            for body in (b"1", b"2")
        ]
    )

    deliveries = await buses.take(subscription, 2)

    assert time.monotonic() - began >= 0.25
    assert bodies(deliveries) == [b"1", b"2"]
    assert [delivery.headers["loom-attempt"] for delivery in deliveries] == [2, 2]
    assert [delivery.type for delivery in deliveries] == ["loom.test.v1", "loom.test.v1"]


async def test_a_message_waits_though_nobody_is_connected(bus, buses):
    await bus.publish([Wire("", "test.work.retry", b"1", message_id="1")])
    await bus.close()

    later = await buses.connect()

    assert bodies(await buses.take(await later.subscribe("test.work", prefetch=1), 1)) == [b"1"]


async def _depth_is(bus, queue: str, expected: int) -> bool:
    return await bus.depth(queue) == expected
