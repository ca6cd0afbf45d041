"""Tests what every store of marks keeps, whichever technology holds it."""

from __future__ import annotations

import asyncio

import pytest

from loom_ai.stores.beside_journal import open_marks
from loom_common.domain.marks import Mark
from support.journal_tables import stored

DURABLE = ("sqlite", "postgres", "redis")
FULL = Mark("p1", begun=2, started="schlüssel/ключ\x00", strikes={"ann": 1, 'b"en': 2}, hung=("cid", "dan"))


@pytest.fixture(params=["memory", *DURABLE])
async def url(request, tmp_path):
    async with stored(request, tmp_path) as url:
        yield url


@pytest.fixture
async def marks(url):
    marks = open_marks(url)
    yield marks
    await marks.close()


async def test_the_first_to_begin_a_batch_finds_nothing(marks):
    assert await marks.begin("transform:b1", Mark("p1")) is None


async def test_who_begins_it_again_finds_the_mark_and_leaves_it(marks):
    await marks.begin("transform:b1", Mark("p1"))
    assert await marks.begin("transform:b1", Mark("p2")) == Mark("p1")
    assert await marks.begin("transform:b1", Mark("p3")) == Mark("p1")


async def test_a_mark_is_found_as_it_was_kept(marks):
    await marks.begin("transform:b1", Mark("p1"))
    await marks.keep("transform:b1", FULL)
    assert await marks.begin("transform:b1", Mark("p2")) == FULL


async def test_a_mark_may_be_kept_that_was_never_begun(marks):
    await marks.keep("evaluate:b1", FULL)
    assert await marks.begin("evaluate:b1", Mark("p2")) == FULL


async def test_a_batch_that_is_cleared_is_begun_as_for_the_first_time(marks):
    await marks.keep("transform:b1", FULL)
    await marks.clear("transform:b1")
    assert await marks.begin("transform:b1", Mark("p2")) is None


async def test_clearing_what_is_not_there_does_nothing(marks):
    await marks.clear("transform:b1")
    assert await marks.begin("transform:b1", Mark("p1")) is None


async def test_batches_and_stages_are_apart(marks):
    await marks.begin("transform:b1", Mark("p1"))
    assert await marks.begin("transform:b2", Mark("p1")) is None
    assert await marks.begin("evaluate:b1", Mark("p1")) is None


async def test_of_many_that_begin_at_once_each_batch_has_one_that_is_first(marks):
    names = [f"transform:b{number % 20}" for number in range(60)]
    found = await asyncio.gather(*(marks.begin(name, Mark("p1")) for name in names))
    assert found.count(None) == 20
    assert found.count(Mark("p1")) == 40


async def test_many_that_are_cleared_at_once_are_gone(marks):
    names = [f"transform:b{number}" for number in range(20)]
    await asyncio.gather(*(marks.begin(name, Mark("p1")) for name in names))
    await asyncio.gather(*(marks.clear(name) for name in names[:15]))
    found = await asyncio.gather(*(marks.begin(name, Mark("p2")) for name in names))
    assert found == [None] * 15 + [Mark("p1")] * 5


@pytest.mark.parametrize("url", DURABLE, indirect=True)
async def test_another_process_finds_what_this_one_began(marks, url):
    await marks.begin("transform:b1", FULL)
    other = open_marks(url)
    try:
        assert await other.begin("transform:b1", Mark("p2")) == FULL
    finally:
        await other.close()
