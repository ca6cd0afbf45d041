"""Tests what every store of messages that were taken from queues must do."""

import asyncio
import datetime as dt

import pytest

from loom_ai.stores.beside_budgets import open_received_pages
from loom_ai.stores.sql import received_pages
from loom_common.config.settings import JournalSettings, Settings
from loom_common.ports.received_pages import ReceivedMessage, ReceivedPage
from support.journal_tables import stored


@pytest.fixture(params=["sqlite", "postgres"])
async def replicas(request, tmp_path):
    """Provide two processes' views of one store."""
    async with stored(request, tmp_path) as url:
        settings = Settings(journal=JournalSettings(url=url))
        one, other = open_received_pages(settings), open_received_pages(settings)
        yield one, other
        await one.close()
        await other.close()


def messages(*names: str) -> list[ReceivedMessage]:
    return [ReceivedMessage(f"\0{name}\n".encode(), name) for name in names]


def bodies(*names: str) -> tuple[bytes, ...]:
    return tuple(f"\0{name}\n".encode() for name in names)


async def stands(store, number, run="stream_1"):
    """Return whether a page is there, was there (and is forgotten), or has not been received."""
    page = await store.page(run, number)
    return None if page is None else "forgotten" if page.forgotten else "there"


async def keep(store, number, *names, run="run_1", source="queue"):
    page = await store.keep(run, number, source, messages(*names), {"left": number}, end=False)
    return None if page is None else tuple(page.bodies)


async def test_pages_of_a_stream_are_forgotten_up_to_one_of_them(replicas):
    one, other = replicas
    for number in range(3):
        await keep(one, number, f"m{number}", run="stream_1")
    await keep(one, 0, "other", run="stream_2")
    await other.forget_before("stream_1", 2)
    assert [await stands(one, number) for number in range(4)] == ["forgotten", "forgotten", "there", None]
    assert (await one.page("stream_1", 1)).bodies == ()
    assert [await stands(one, number, "stream_2") for number in range(2)] == ["there", None]
    assert await keep(one, 3, "m0", "m3", run="stream_1") == bodies("m3")  # what was forgotten is known all the same


async def test_who_was_thought_dead_keeps_nothing_in_the_place_of_pages_that_were_forgotten(replicas):
    one, other = replicas
    for number in range(3):
        await keep(one, number, f"m{number}", run="stream_1")
    await other.forget_before("stream_1", 9)
    for number in range(3):
        assert await keep(one, number, f"late{number}", run="stream_1") is None
    assert [await stands(one, number) for number in range(3)] == ["forgotten", "forgotten", "there"]
    assert await keep(one, 3, "late0", "m3", run="stream_1") == bodies("late0", "m3")


async def test_what_is_kept_is_read_in_every_process(replicas):
    one, other = replicas
    await keep(one, 0, "a", "b")
    await one.keep("run_1", 1, "queue", messages("c"), {"left": None}, end=True)
    assert await other.page("run_1", 0) == ReceivedPage(bodies("a", "b"), {"left": 0}, end=False)
    assert await other.page("run_1", 1) == ReceivedPage(bodies("c"), {"left": None}, end=True)
    assert await other.page("run_1", 2) is None
    assert await other.page("run_2", 0) is None


async def test_a_message_that_comes_again_is_left_out_in_this_run_and_in_others(replicas):
    one, other = replicas
    assert await keep(one, 0, "a", "b", "a") == bodies("a", "b")
    assert await keep(other, 1, "b", "c") == bodies("c")
    assert await keep(other, 0, "c", "d", run="run_2") == bodies("d")
    assert await keep(one, 0, "a", run="run_3", source="another queue") == bodies("a")


async def test_messages_may_be_taken_again_once_by_a_number_that_is_higher_than_before(replicas):
    one, other = replicas

    async def taken(store, number, *names, again):
        page = await store.keep("stream_1", number, "queue", messages(*names), None, end=False, again=again)
        return page.bodies, page.known

    assert await taken(one, 0, "a", "b", again=0) == (bodies("a", "b"), 0)
    assert await taken(other, 1, "b", "c", again=5) == (bodies("b", "c"), 0)
    assert await taken(one, 2, "a", "b", "c", again=5) == (bodies("a"), 2)
    assert await taken(one, 3, "a", "b", again=4) == ((), 2)
    assert await taken(one, 4, "a", "d", again=0) == (bodies("d"), 1)
    assert (await other.page("stream_1", 2)).known == 2


async def test_messages_that_nothing_tells_apart_are_all_kept(replicas):
    one, _ = replicas
    alike = [ReceivedMessage(b"same"), ReceivedMessage(b"same")]
    page = await one.keep("run_1", 0, "queue", alike, None, end=False)
    again = await one.keep("run_1", 1, "queue", alike, None, end=False)
    assert [page.bodies, again.bodies] == [(b"same", b"same")] * 2


async def test_a_trial_leaves_nothing_out_and_enters_nothing(replicas):
    one, _ = replicas
    assert await keep(one, 0, "a", source=None) == bodies("a")
    assert await keep(one, 0, "a", run="run_2") == bodies("a")
    assert await keep(one, 0, "a", run="run_3", source=None) == bodies("a")


async def test_a_page_that_is_there_stays_and_what_came_in_its_place_may_come_again(replicas):
    one, other = replicas
    assert await keep(one, 0, "a") == bodies("a")
    assert await keep(other, 0, "b") is None
    assert (await one.page("run_1", 0)).bodies == bodies("a")
    assert await keep(other, 1, "b") == bodies("b")


async def test_of_two_runs_that_receive_the_same_message_at_once_one_keeps_it(replicas):
    names = [f"m{number}" for number in range(450)]
    pages = await asyncio.gather(
        *(keep(replica, 0, *names, run=f"run_{at}") for at, replica in enumerate((*replicas, *replicas)))
    )
    assert sorted(body for page in pages for body in page) == sorted(bodies(*names))


async def test_an_identity_is_forgotten_when_it_is_old_enough(replicas):
    one, _ = replicas
    await keep(one, 0, "a")
    now = dt.datetime.now(dt.UTC)
    await one.forget_identities("another queue", now + dt.timedelta(seconds=1))
    await one.forget_identities("queue", now - dt.timedelta(hours=1))
    assert await keep(one, 1, "a") == ()
    await one.forget_identities("queue", now + dt.timedelta(seconds=1))
    assert await keep(one, 2, "a") == bodies("a")


async def test_the_pages_of_a_run_are_deleted_and_its_messages_stay_known(replicas):
    one, other = replicas
    await keep(one, 0, "a")
    await keep(one, 0, "b", run="run_2")
    assert sorted(await other.runs()) == ["run_1", "run_2"]
    await other.forget(["run_1"])
    assert await one.runs() == ["run_2"]
    assert await stands(one, 0, "run_1") == "forgotten"
    assert await keep(one, 1, "a", run="run_2") == ()


async def test_who_hears_late_of_a_run_that_is_over_keeps_nothing_for_it_for_some_days(replicas, monkeypatch):
    one, other = replicas
    await keep(one, 0, "a")
    await other.forget(["run_1"])
    await other.forget(["run_1"])
    assert await one.runs() == []
    for number in range(3):
        assert await stands(one, number, "run_1") == "forgotten"
        assert await keep(one, number, f"late{number}") is None
    assert await keep(one, 0, "late0", run="run_2") == bodies("late0")
    monkeypatch.setattr(received_pages, "_MARKED_FOR", dt.timedelta())
    await other.forget(["run_2"])
    assert [await stands(one, 0, run) for run in ("run_1", "run_2")] == [None, "forgotten"]
