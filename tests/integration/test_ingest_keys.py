"""Records that come again are known by their keys, on SQLite and Postgres."""

from __future__ import annotations

import asyncio
import datetime as dt
from dataclasses import replace

import pytest

from loom_common.errors import ConfigurationError
from loom_coordinator.db.ingest_keys import CLAIMED, Claims, Holder, claim, forget_old, release, take_over
from loom_migrations.upgrade import upgrade
from support.run_rows import NOW

HOUR = dt.timedelta(hours=1)
FIRST, SECOND = Claims("claims_1", "p", HOUR), Claims("claims_2", "p", HOUR)
UNDER_WAY = Holder(own=False, run_id=None)


@pytest.fixture
async def migrated(engine):
    """Provide an empty state database."""
    await upgrade(engine)
    return engine


async def claimed(engine, claims, keys, now=NOW, *, first=True):
    async with engine.begin() as connection:
        return await claim(connection, claims, list(keys), now, first=first)


async def begun(engine, claims, run_id):
    async with engine.begin() as connection:
        await take_over(connection, claims.name, run_id)


async def test_a_key_is_of_the_request_that_claimed_it_then_of_its_run_until_its_window_is_over(migrated):
    assert await claimed(migrated, FIRST, "ab") == {}
    assert await claimed(migrated, FIRST, "bc", first=False) == {"b": Holder(own=True, run_id=None)}
    assert await claimed(migrated, SECOND, "bd") == {"b": UNDER_WAY}
    await begun(migrated, FIRST, "run_1")
    assert await claimed(migrated, SECOND, "bd", first=False) == {
        "b": Holder(own=False, run_id="run_1"),
        "d": Holder(own=True, run_id=None),
    }
    assert await claimed(migrated, replace(FIRST, name="other", pipeline="q"), "b") == {}
    last = await claimed(migrated, replace(FIRST, name="claims_3"), "b", NOW + HOUR)
    assert last["b"].run_id == "run_1"
    after = NOW + HOUR + dt.timedelta(seconds=1)
    assert await claimed(migrated, replace(FIRST, name="claims_4"), "b", after) == {}


async def test_claims_that_are_let_go_are_free_and_those_of_a_run_are_not_let_go(migrated):
    await claimed(migrated, FIRST, "ab")
    for _ in range(2):
        async with migrated.begin() as connection:
            await release(connection, FIRST.name)
    assert await claimed(migrated, SECOND, "ab") == {}
    await begun(migrated, SECOND, "run_2")
    async with migrated.begin() as connection:
        await release(connection, SECOND.name)
    assert (await claimed(migrated, FIRST, "a"))["a"].run_id == "run_2"


async def test_claims_of_a_request_that_came_to_nothing_lapse_and_its_run_is_refused_then(migrated):
    await claimed(migrated, FIRST, "ab")
    later = NOW + CLAIMED + dt.timedelta(seconds=1)
    assert await claimed(migrated, SECOND, "bc", later) == {}
    assert await claimed(migrated, FIRST, "d", later, first=False) == {"d": UNDER_WAY}
    with pytest.raises(ConfigurationError, match="Send it again"):
        await begun(migrated, FIRST, "run_1")
    await begun(migrated, SECOND, "run_2")


async def test_a_request_whose_claims_nobody_needed_may_begin_late(migrated):
    await claimed(migrated, FIRST, "ab")
    await begun(migrated, FIRST, "run_1")
    with pytest.raises(ConfigurationError, match="Send it again"):
        await begun(migrated, FIRST, "run_2")


async def test_old_keys_are_forgotten(migrated):
    await claimed(migrated, FIRST, "a")
    await begun(migrated, FIRST, "run_1")
    for now, known in ((NOW + HOUR, True), (NOW + HOUR + dt.timedelta(seconds=1), False)):
        async with migrated.begin() as connection:
            await forget_old(connection, now)
        held = await claimed(migrated, replace(SECOND, name=f"at {now}"), "a")
        assert (held == {"a": Holder(own=False, run_id="run_1")}) is known


async def test_of_many_that_claim_at_once_each_key_has_one(migrated):
    async def at_once(number: int) -> set[str]:
        mine = replace(FIRST, name=f"claims_{number}")
        keys = [f"k{(number + each) % 12}" for each in range(8)]
        return set(keys) - set(await claimed(migrated, mine, keys))

    got = await asyncio.gather(*map(at_once, range(12)))
    assert sorted(key for each in got for key in each) == sorted(f"k{number}" for number in range(12))
