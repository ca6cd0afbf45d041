"""Tests what every store of records that were given over HTTP must do."""

from __future__ import annotations

import asyncio
import datetime as dt

import pytest
from sqlalchemy import event

from loom_ai.journal.tables import inbox_records
from loom_ai.stores.beside_budgets import open_inbox
from loom_common.config.settings import JournalSettings, Settings
from loom_common.errors import PermanentError
from loom_common.ports.inbox import InboxFull, InboxRecord
from support.journal_tables import stored

DAY = dt.timedelta(days=1)


@pytest.fixture(params=["sqlite", "postgres"])
async def replicas(request, tmp_path):
    """Provide two processes' views of one inbox, and the inbox of another pipeline."""
    async with stored(request, tmp_path) as url:
        settings = Settings(journal=JournalSettings(url=url))
        inboxes = [open_inbox(settings, name, "api://tickets") for name in ("triage", "triage", "other")]
        yield inboxes
        for each in inboxes:
            await each.close()


def records(*names: str, key: bool = False) -> list[InboxRecord]:
    return [InboxRecord(name, f"\0{name}".encode(), f"key of {name[0]}" if key else None) for name in names]


async def add(inbox, *names, key=False, most=1000, window=DAY):
    return list(await inbox.add(records(*names, key=key), most=most, window=window))


async def waiting(inbox, most=1000):
    return [each.id for each in await inbox.oldest(most)]


async def test_records_wait_in_the_order_in_which_they_came_until_they_are_removed(replicas):
    one, same, other = replicas
    assert await add(one, "b", "a") == ["b", "a"]
    await add(same, "c")
    await add(other, "d")
    assert [each.body for each in await same.oldest(2)] == [b"\0b", b"\0a"]
    assert (await one.count(), await other.count()) == (3, 1)
    await same.remove(["b", "c", "d"])
    assert (await waiting(one), await waiting(other)) == (["a"], ["d"])


async def test_a_record_whose_id_waits_is_not_added_again(replicas):
    one, same, _ = replicas
    await add(one, "a", "b")
    assert await add(same, "b", "c") == ["b", "c"]
    assert await waiting(one) == ["a", "b", "c"]


async def test_no_more_than_may_wait_are_added_and_none_of_a_request_that_is_too_large(replicas):
    one, same, _ = replicas
    await add(one, "a", "b", most=3)
    with pytest.raises(InboxFull, match="as may: 3"):
        await add(same, "c", "d", key=True, most=3)
    assert await waiting(one) == ["a", "b"]
    await one.remove(["a"])
    assert await add(same, "c", "d", key=True, most=3) == ["c", "d"]  # its keys were free


async def test_a_record_with_the_key_of_another_is_known_until_the_window_is_over(replicas):
    one, same, other = replicas
    assert await add(one, "a1", "b1", "a2", key=True) == ["a1", "b1", "a1"]
    await one.remove(["a1"])
    assert await add(same, "a3", "c1", key=True) == ["a1", "c1"]
    assert await add(same, "a1", key=True) == ["a1"]  # the same request again
    assert await waiting(one) == ["b1", "c1"]
    assert await add(other, "a4", key=True) == ["a4"]
    await add(one, "d1", key=True, window=-DAY)
    assert await add(same, "d2", key=True) == ["d2"]


async def test_requests_that_come_at_once_with_one_key_add_one_record(replicas):
    one, same, _ = replicas
    found = await asyncio.gather(
        *(add(inbox, f"a{at}", f"b{at}", key=True) for at, inbox in enumerate((one, same, one, same)))
    )
    assert len({tuple(each) for each in found}) == 1
    assert await waiting(one) == found[0]


async def test_many_records_are_added_and_removed(replicas):
    one, _, _ = replicas
    names = [f"{at:04}" for at in range(450)]
    await one.add([InboxRecord(name, b"", name) for name in names], most=450, window=DAY)
    assert await waiting(one) == names
    await one.remove(names)
    assert await one.count() == 0


async def test_requests_that_come_while_others_are_stored_are_stored_together(replicas):
    one, _, _ = replicas
    commits = []
    event.listen(one._engine.sync_engine, "commit", commits.append)
    names = [f"{at:03}" for at in range(60)]
    await asyncio.gather(*(add(one, name) for name in names))
    assert await waiting(one) == names
    assert len(commits) <= 3  # the first request alone, the forgotten keys, and all others


async def test_a_request_that_does_not_fit_is_refused_alone_among_those_that_are_stored_together(replicas):
    one, _, _ = replicas
    await add(one, "a")
    requests = [add(one, "b", most=3), add(one, "c", "d", "e", key=True, most=3), add(one, "f", most=3)]
    found = await asyncio.gather(*requests, return_exceptions=True)
    assert (found[0], type(found[1]), found[2]) == (["b"], InboxFull, ["f"])
    assert await waiting(one) == ["a", "b", "f"]
    await one.remove(["a", "b"])
    assert await add(one, "c", key=True, most=3) == ["c"]  # its key was free


async def test_of_requests_that_are_stored_together_the_first_has_a_key(replicas):
    one, _, _ = replicas
    found = await asyncio.gather(*(add(one, f"a{at}", f"b{at}", key=True) for at in range(5)))
    assert found == [["a0", "b0"]] * 5
    assert await waiting(one) == ["a0", "b0"]


async def test_every_request_that_is_stored_with_others_is_told_that_the_store_cannot_be_used(replicas):
    one, _, _ = replicas
    async with one._engine.begin() as connection:
        await connection.run_sync(inbox_records.drop)
    found = await asyncio.gather(*(add(one, str(at)) for at in range(3)), return_exceptions=True)
    assert [type(each) for each in found] == [PermanentError] * 3
