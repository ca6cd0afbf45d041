"""Tests connections kept for the next message."""

import asyncio

from loom_common.caching.resource_cache import ResourceCache


class Door:
    def __init__(self):
        self.open = True

    async def close(self):
        self.open = False


async def test_the_same_key_is_opened_once():
    leases = ResourceCache(2)
    async with leases.of("a", Door) as first:
        pass
    async with leases.of("a", Door) as second:
        assert second is first
        assert second.open


async def test_the_least_recently_used_is_closed_first():
    leases = ResourceCache(2)
    doors = {}
    for key in ("a", "b", "a", "c"):
        async with leases.of(key, Door) as doors[key]:
            pass
    assert [key for key, door in doors.items() if door.open] == ["a", "c"]


async def test_what_is_in_use_stays_open_beyond_the_capacity():
    leases = ResourceCache(1)
    async with leases.of("a", Door) as one, leases.of("b", Door) as other:
        assert one.open
        assert other.open
    assert [one.open, other.open].count(True) == 1


async def test_everything_is_closed_at_the_end():
    leases = ResourceCache()
    async with leases.closing():
        async with leases.of("a", Door) as door:
            pass
        assert door.open
    assert not door.open


async def test_what_takes_a_while_to_open_is_opened_once_and_holds_up_no_other_key():
    leases, may_open, opened = ResourceCache(), asyncio.Event(), []

    async def slow_door() -> Door:
        await may_open.wait()
        opened.append(Door())
        return opened[-1]

    async def through(key, open_one):
        async with leases.of(key, open_one) as door:
            return door

    slow = [asyncio.create_task(through("slow", slow_door)) for _ in range(2)]
    assert (await through("quick", Door)).open
    may_open.set()
    first, second = await asyncio.gather(*slow)
    assert first is second is opened[0]
    assert len(opened) == 1
