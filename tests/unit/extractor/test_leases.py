"""Tests connections kept for the next message."""

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
