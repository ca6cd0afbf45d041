"""Dead letters are looked at without being lost, go where they were going, or go for good."""

import pytest

from loom_common.adapters.memory.bus import MemoryBus
from loom_common.errors import ConfigurationError, Unroutable
from loom_common.flow import DEAD_QUEUE, TOPOLOGY, Exchange, Stage, work_queue
from loom_common.ports.bus import Wire
from loom_coordinator.queries import dead_letters

TRANSFORM = work_queue(Stage.TRANSFORM)


@pytest.fixture
async def bus():
    bus = MemoryBus()
    await bus.declare(TOPOLOGY)
    yield bus
    await bus.close()


def dead(number, **changes):
    known = {
        "exchange": Exchange.DEAD,
        "routing_key": "transform.reviews",
        "body": b'{"n": %d}' % number,
        "type": "loom.batch.extracted.v1",
        "message_id": f"m{number}",
        "correlation_id": "run_1",
        "headers": {
            "loom-dead-reason": "body: missing",
            "loom-dead-by": "transformer",
            "loom-exchange": "loom.work",
            "loom-attempt": 3,
            "loom-epoch": 2,
        },
    }
    return Wire(**{**known, **changes})


async def ids(bus):
    async with dead_letters.taken(bus) as letters:
        return [letter.id for letter in letters]


async def test_looking_leaves_everything_in_its_place(bus):
    await bus.publish([dead(number) for number in range(5)])
    first = await ids(bus)
    assert len(set(first)) == 5
    assert await ids(bus) == first
    async with dead_letters.taken(bus, most=2) as letters:
        assert [letter.id for letter in letters] == first[:2]
    assert await bus.depth(DEAD_QUEUE) == 5


async def test_an_empty_queue_has_no_letters(bus):
    assert await ids(bus) == []


async def test_what_another_holds_is_not_waited_for(bus):
    await bus.publish([dead(0), dead(1)])
    holding = await bus.subscribe(DEAD_QUEUE, prefetch=1)
    async with dead_letters.taken(bus, quiet_seconds=0.05) as letters:
        assert [letter.delivery.message_id for letter in letters] == ["m1"]
    await holding.close()


async def test_a_summary_says_what_it_was_and_why_it_is_here(bus):
    await bus.publish([dead(0)])
    async with dead_letters.taken(bus) as [letter]:
        summary = letter.summary().as_json()
        whole = letter.whole().as_json()
    assert {name: summary[name] for name in ("type", "run_id", "by", "exchange", "routing_key", "reason")} == {
        "type": "loom.batch.extracted.v1",
        "run_id": "run_1",
        "by": "transformer",
        "exchange": "loom.work",
        "routing_key": "transform.reviews",
        "reason": "body: missing",
    }
    assert (whole["body"], whole["message_id"], whole["headers"]["loom-attempt"]) == ('{"n": 0}', "m0", 3)


async def test_what_the_broker_gave_up_says_so(bus):
    headers = {
        "x-first-death-reason": "delivery_limit",
        "x-first-death-queue": TRANSFORM,
        "x-first-death-exchange": "loom.work",
    }
    await bus.publish([dead(0, headers=headers)])
    async with dead_letters.taken(bus) as [letter]:
        assert letter.reason == "the broker gave it up in loom.transform: delivery_limit"
        await dead_letters.replay(bus, [letter])
    assert (await bus.depth(TRANSFORM), await bus.depth(DEAD_QUEUE)) == (1, 0)


async def test_a_replayed_message_is_as_it_was_the_first_time(bus):
    await bus.publish([dead(0), dead(1)])
    async with dead_letters.taken(bus) as letters:
        await dead_letters.replay(bus, letters[:1])
    assert await bus.depth(DEAD_QUEUE) == 1
    subscription = await bus.subscribe(TRANSFORM, prefetch=1)
    delivery = await anext(subscription)
    assert (delivery.exchange, delivery.routing_key) == ("loom.work", "transform.reviews")
    assert (delivery.body, delivery.type, delivery.message_id) == (b'{"n": 0}', "loom.batch.extracted.v1", "m0")
    assert delivery.headers == {"loom-epoch": 2}
    await subscription.close()


async def test_a_message_that_came_from_a_retry_queue_goes_to_its_queue(bus):
    await bus.publish([dead(0, routing_key=TRANSFORM, headers={"loom-exchange": ""})])
    async with dead_letters.taken(bus) as letters:
        await dead_letters.replay(bus, letters)
    assert await bus.depth(TRANSFORM) == 1


async def test_what_cannot_be_delivered_stays_dead(bus):
    await bus.publish([dead(0, routing_key="nobody.listens")])
    with pytest.raises(Unroutable):
        async with dead_letters.taken(bus) as letters:
            await dead_letters.replay(bus, letters)
    assert await bus.depth(DEAD_QUEUE) == 1


async def test_nothing_is_sent_where_one_does_not_say_where_it_was_going(bus):
    await bus.publish([dead(0), dead(1, headers={})])
    with pytest.raises(ConfigurationError, match="does not say which exchange"):
        async with dead_letters.taken(bus) as letters:
            await dead_letters.replay(bus, letters)
    assert (await bus.depth(DEAD_QUEUE), await bus.depth(TRANSFORM)) == (2, 0)


async def test_discarded_ones_are_gone(bus):
    await bus.publish([dead(number) for number in range(3)])
    async with dead_letters.taken(bus) as letters:
        await dead_letters.discard(dead_letters.chosen(letters, [letters[1].id[:6]]))
        left = [letters[0].id, letters[2].id]
    assert await ids(bus) == left


async def test_an_id_that_is_not_there_is_told(bus):
    await bus.publish([dead(0)])
    async with dead_letters.taken(bus) as letters:
        with pytest.raises(ConfigurationError, match="There is no dead letter zzz"):
            dead_letters.chosen(letters, [letters[0].id, "zzz"])
