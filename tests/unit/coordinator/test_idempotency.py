"""Tests that a request with an idempotency key is carried out once."""

import dataclasses
import datetime as dt

import pytest

from loom_coordinator.db.idempotency import (
    KEPT,
    TAKEN,
    Answered,
    Key,
    Other,
    Taken,
    UnderWay,
    answer,
    forget,
    give_back,
    take,
)
from loom_migrations.engine import open_engine
from loom_migrations.upgrade import upgrade
from support.run_rows import NOW

KEY = Key("", "k", "hash")
ANSWER = Answered(202, {"location": "/runs/run_1"}, '{"run_id": "run_1"}')
LATER = NOW + TAKEN + dt.timedelta(seconds=1)


@pytest.fixture
async def connection(tmp_path):
    engine = open_engine(f"sqlite:///{tmp_path / 'loom.db'}")
    await upgrade(engine)
    async with engine.begin() as connection:
        yield connection
    await engine.dispose()


async def test_the_answer_is_given_again_until_it_is_forgotten(connection):
    assert await take(connection, KEY, NOW) == Taken(NOW)
    assert await take(connection, KEY, NOW) == UnderWay()
    await answer(connection, KEY, ANSWER)
    assert await take(connection, KEY, NOW + KEPT) == ANSWER
    assert await take(connection, dataclasses.replace(KEY, request_hash="other"), NOW) == Other()
    assert await take(connection, dataclasses.replace(KEY, client="another"), NOW) == Taken(NOW)
    after = NOW + KEPT + dt.timedelta(seconds=1)
    assert await take(connection, KEY, after) == Taken(after)


async def test_a_request_whose_process_ended_is_taken_once_more_and_known_as_the_same(connection):
    await take(connection, KEY, NOW)
    assert await take(connection, KEY, LATER) == Taken(NOW)
    assert await take(connection, KEY, LATER) == UnderWay()
    await give_back(connection, KEY)
    assert await take(connection, KEY, LATER) == Taken(NOW)


async def test_a_request_that_was_refused_leaves_its_key_free(connection):
    await take(connection, KEY, NOW)
    await forget(connection, KEY)
    assert await take(connection, dataclasses.replace(KEY, request_hash="other"), LATER) == Taken(LATER)
