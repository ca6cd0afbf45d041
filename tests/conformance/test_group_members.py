"""Tests what every store of the members of groups must do."""

from __future__ import annotations

import pytest

from loom_ai.stores.beside_budgets import open_group_members
from loom_ai.stores.memory.group_members import MemoryGroupMembers
from loom_common.config.settings import JournalSettings, Settings
from loom_common.domain.steps.grouping import GroupMember
from support.journal_tables import stored


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def store(request, tmp_path):
    if request.param == "memory":
        yield MemoryGroupMembers()
        return
    async with stored(request, tmp_path) as url:
        opened = open_group_members(Settings(journal=JournalSettings(url=url)))
        yield opened
        await opened.close()


def members(batch: str, *groups: str) -> list[GroupMember]:
    return [GroupMember(each, f"{batch}{at:07}", f"r{at}", [each, None], {"n": at}) for at, each in enumerate(groups)]


async def places(store, after=None, limit=100, run="run_1", step="by"):
    return [(each.group, each.place[-1]) for each in await store.page(run, step, after, limit)]


async def test_members_of_a_group_come_after_each_other_in_the_order_of_their_places(store):
    await store.keep("run_1", "by", "2", members("2", "b", "a"))
    await store.keep("run_1", "by", "1", members("1", "a", "b", "a"))
    assert await places(store) == [("a", "0"), ("a", "2"), ("a", "1"), ("b", "1"), ("b", "0")]
    first = await store.page("run_1", "by", None, 2)
    assert first[0] == GroupMember("a", "10000000", "r0", ["a", None], {"n": 0})
    assert await places(store, (first[1].group, first[1].place), 2) == [("a", "1"), ("b", "1")]


async def test_a_batch_that_comes_again_replaces_its_members_alone(store):
    await store.keep("run_1", "by", "1", members("1", "a", "b"))
    await store.keep("run_1", "by", "2", members("2", "a"))
    await store.keep("run_1", "by", "1", members("1", "c"))
    assert await places(store) == [("a", "0"), ("c", "0")]
    await store.keep("run_1", "by", "1", [])
    assert await places(store) == [("a", "0")]


async def test_runs_and_steps_are_apart_and_forgotten(store):
    await store.keep("run_1", "by", "1", members("1", "a"))
    await store.keep("run_1", "again", "1", members("1", "b"))
    await store.keep("run_2", "by", "1", members("1", "c"))
    assert await places(store, step="again") == [("b", "0")]
    assert sorted(await store.runs()) == ["run_1", "run_2"]
    await store.forget(["run_1", "run_3"])
    assert (await places(store), await places(store, run="run_2")) == ([], [("c", "0")])
