"""Tests that what a run takes from a queue can be read from every cursor, and is acknowledged once it is kept."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import pytest

from loom_ai.stores.beside_budgets import open_received_pages
from loom_common.config.settings import JournalSettings, Settings
from loom_common.domain.run.piece import Piece
from loom_common.domain.values.fields import Fields
from loom_common.ports.received_pages import ReceivedMessage, ReceivedPage
from loom_connectors.ports.source import Page, ReadRecord
from loom_dev.waiting import within
from loom_extractor.sources.received import ReceivedRecords, RunsReceivedRecords
from support.clocks import ManualClock
from support.journal_tables import create_tables
from support.pieces import pages_of


class Queue:
    """Represents a queue in this process: a message that is not acknowledged is delivered again."""

    def __init__(self, *names: str) -> None:
        self.waiting = list(names)
        self.acknowledged: list[str] = []
        self.asked = 0


class Taken:
    def __init__(self, queue: Queue, names: Sequence[str], before: object, *, end: bool) -> None:
        self.queue, self.names, self.end = queue, list(names), end
        self.messages = [ReceivedMessage(name.encode(), name) for name in names]
        self.state = {"after": names[-1]} if names else before

    async def acknowledge(self) -> None:
        self.queue.acknowledged += self.names

    async def give_back(self) -> None:
        self.queue.waiting = [*self.names, *self.queue.waiting]


class QueueSource:
    """Gives at most three messages at once. One whose name ends in a digit has as many records."""

    origin = "queue"
    remembered_seconds = 60.0

    def __init__(self, queue: Queue) -> None:
        self.queue = queue

    async def check(self) -> None: ...

    async def count(self) -> int | None:
        return None

    async def fields(self) -> Fields | None:
        return None

    async def read(self, cursor: object, limit: int) -> Page:
        raise AssertionError("nobody looks")

    async def close(self) -> None: ...

    async def receive(self, state: object, limit: int) -> Taken:
        self.queue.asked += 1
        count = min(3, limit)
        names, self.queue.waiting = self.queue.waiting[:count], self.queue.waiting[count:]
        return Taken(self.queue, names, state, end=not self.queue.waiting)

    def records_of(self, body: bytes, position: str) -> Sequence[ReadRecord]:
        name = body.decode()
        return [ReadRecord(f"{name}.{at}", {"name": name}) for at in range(int(name[-1]))]


@pytest.fixture
async def pages(tmp_path):
    url = f"sqlite:///{tmp_path}/journal.db"
    await create_tables(url)
    pages = open_received_pages(Settings(journal=JournalSettings(url=url)))
    yield pages
    await pages.close()


NAMES = ("a1", "b3", "c0", "d0", "e2", "f1", "g4", "h0")
RECORDS = [f"{name}.{at}" for name in NAMES for at in range(int(name[-1]))]


class Received(RunsReceivedRecords):
    """Fails where a page does not come, e.g. because one after the other is looked at."""

    async def read(self, cursor: object, limit: int) -> Page:
        async with within(10, f"the page at {cursor}"):
            return await super().read(cursor, limit)


def taking(queue: Queue, pages, run: str = "run_1", **changes: bool) -> Received:
    return Received(QueueSource(queue), pages, run, **{"taking": True, "trial": False, **changes})


def positions(found) -> list[str]:
    return [record.position for _, page in found for record in page.records]


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 100])
async def test_every_cursor_gives_the_same_records_again_and_takes_nothing_more(pages, limit):
    queue = Queue(*NAMES)
    found = await pages_of(taking(queue, pages), Piece(), limit)
    assert positions(found) == RECORDS
    assert queue.acknowledged == list(NAMES)
    queue.waiting = ["z9"]
    for cursor, page in reversed(found):
        assert await taking(queue, pages).read(cursor, limit) == page
    assert positions(await pages_of(taking(queue, pages), Piece(), 7)) == RECORDS
    assert queue.waiting == ["z9"]


async def test_what_was_not_acknowledged_comes_again_and_is_left_out(pages):
    queue = Queue(*NAMES)
    first = await taking(queue, pages).read(None, 3)
    queue.waiting = [*NAMES[:3], *queue.waiting]  # the process died before it acknowledged them
    rest = await pages_of(taking(queue, pages), Piece(start=first.cursor), 3)
    assert [record.position for record in first.records] + positions(rest) == RECORDS
    assert set(queue.acknowledged) == set(NAMES)
    assert positions(await pages_of(taking(Queue(*NAMES, "z1"), pages, "run_2"), Piece(), 3)) == ["z1.0"]


class AcknowledgedQueueSource(QueueSource):
    """Is told of a page, and notes it."""

    def __init__(self, queue: Queue) -> None:
        super().__init__(queue)
        self.told: list[list[str]] = []

    async def acknowledge_kept(self, page: ReceivedPage) -> None:
        self.told.append([each.decode() for each in page.bodies])


async def test_only_the_newest_page_is_acknowledged_for_somebody_else_and_by_who_finds_it_first(pages):
    def reader(**changes: bool) -> Received:
        given = {"taking": True, "trial": False, **changes}
        return Received(AcknowledgedQueueSource(queue), pages, "run_1", **given)

    queue = Queue(*NAMES)
    own = reader()
    first = await own.read(None, 4)
    second = await own.read(first.cursor, 4)
    await own.read(first.cursor, 4)  # once more
    found = reader()
    for cursor in (None, first.cursor, first.cursor):
        await found.read(cursor, 4)
    for other in (reader(taking=False), reader(trial=True)):
        await other.read(first.cursor, 4)
    inside = reader()
    await inside.read({**first.cursor, "record": 1}, 4)  # whoever read the first record has seen to it
    await found.read(second.cursor, 4)
    assert [each._source.told for each in (own, found, other, inside)] == [[], [list(NAMES[3:6])], [], []]


async def test_a_page_that_could_not_be_kept_goes_back_to_the_queue(pages):
    class Full:
        async def page(self, run_id: str, number: int) -> None:
            return None

        async def keep(self, *_: object, **__: object) -> None:
            raise OSError("no space")

    queue = Queue(*NAMES)
    with pytest.raises(OSError, match="no space"):
        await taking(queue, Full()).read(None, 3)
    assert (queue.waiting, queue.acknowledged) == (list(NAMES), [])


async def test_of_two_that_receive_the_same_page_the_later_gives_its_messages_back(pages):
    one, other = Queue("a1", "b1"), Queue("c1", "d1")
    first = await taking(one, pages).read(None, 3)
    assert await taking(other, Blind(pages)).read(None, 3) == first
    assert (other.waiting, other.acknowledged) == (["c1", "d1"], [])


async def test_who_may_not_take_reads_what_is_kept(pages):
    queue = Queue(*NAMES)
    first = await taking(queue, pages).read(None, 3)
    found = await pages_of(taking(queue, pages, taking=False), Piece(), 100)
    assert [record.position for record in first.records] == RECORDS[:3]
    assert positions(found) == RECORDS[:4]
    assert positions(await pages_of(taking(queue, pages, "run_2", taking=False), Piece(), 100)) == []


async def test_a_trial_takes_one_page_and_gives_it_back(pages):
    queue = Queue(*NAMES)
    found = await pages_of(taking(queue, pages, trial=True), Piece(), 2)
    assert positions(found) == RECORDS[:4]
    assert (queue.waiting, queue.acknowledged) == (list(NAMES), [])
    assert positions(await pages_of(taking(queue, pages, "run_2"), Piece(), 100)) == RECORDS


async def test_an_endless_source_that_has_nothing_leaves_nothing_and_goes_on(pages):
    queue = Queue("a2")
    stream = {"run": "stream_1", "endless": True}
    first = await taking(queue, pages, **stream).read(None, 5)
    assert ([each.position for each in first.records], first.end) == (["a2.0", "a2.1"], False)
    for _ in range(2):
        quiet = await taking(queue, pages, **stream).read(first.cursor, 5)
        assert (list(quiet.records), quiet.cursor, quiet.end) == ([], first.cursor, False)
    queue.waiting = ["b1"]
    assert positions([(None, await taking(queue, pages, **stream).read(first.cursor, 5))]) == ["b1.0"]


class Blind:
    """Sees no page of the other processes before it has received one itself."""

    def __init__(self, pages) -> None:
        self.pages, self.seen, self.keep = pages, False, pages.keep

    async def page(self, run_id: str, number: int) -> object:
        found = await self.pages.page(run_id, number) if self.seen else None
        self.seen = True
        return found


STREAM = {"run": "stream_1", "endless": True}


async def begun_stream(pages):
    """Receive three pages of a stream and forget the first ones; return where the second one begins."""
    second = (await taking(Queue("a1"), pages, **STREAM).read(None, 5)).cursor
    third = (await taking(Queue("b1"), pages, **STREAM).read(second, 5)).cursor
    await taking(Queue("c1"), pages, **STREAM).read(third, 5)
    await pages.forget_before("stream_1", 2)
    return second


async def test_who_is_asked_late_for_what_a_stream_has_left_behind_leaves_its_source_alone(pages):
    second = await begun_stream(pages)
    late = Queue("d1", "e1")
    found = await taking(late, pages, **STREAM).read(second, 5)
    assert (list(found.records), found.cursor, found.end) == ([], second, False)
    assert (late.waiting, late.asked) == (["d1", "e1"], 0)


async def test_who_is_asked_late_for_a_run_that_is_over_leaves_its_source_alone(pages):
    await pages_of(taking(Queue("a1", "b1"), pages), Piece(), 3)
    await pages.forget(["run_1"])
    late = Queue("d1", "e1")
    found = await taking(late, pages).read(None, 3)
    assert (list(found.records), found.end) == ([], True)
    assert (late.waiting, late.asked) == (["d1", "e1"], 0)
    assert positions(await pages_of(taking(late, pages, "run_2"), Piece(), 3)) == ["d1.0", "e1.0"]


async def test_who_was_thought_dead_and_receives_for_a_stream_that_went_on_gives_all_back(pages):
    second = await begun_stream(pages)
    late = Queue("d1", "e1")
    found = await taking(late, Blind(pages), **STREAM).read(second, 5)
    assert (list(found.records), found.cursor, found.end) == ([], second, False)
    assert (late.waiting, late.acknowledged, late.asked) == (["d1", "e1"], [], 1)


async def test_a_window_that_closes_takes_nothing_more_unless_somebody_has_taken_it_there(pages):
    queue = Queue("a1")
    stream = {"run": "stream_1", "endless": True}
    first = await taking(queue, pages, **stream).read(None, 5)
    queue.waiting = ["b1", "c1"]
    closed = await taking(queue, pages, closing=True, **stream).read(first.cursor, 5)
    assert (list(closed.records), closed.cursor == first.cursor) == ([], False)
    late = await taking(queue, pages, **stream).read(first.cursor, 5)  # who reads at the same place finds it closed
    assert (list(late.records), late.cursor) == ([], closed.cursor)
    after = await taking(queue, pages, **stream).read(closed.cursor, 5)
    assert positions([(None, after)]) == ["b1.0", "c1.0"]
    again = await taking(queue, pages, closing=True, **stream).read(closed.cursor, 5)
    assert again == after


async def test_a_stream_forgets_identities_now_and_then_however_long_it_goes_on():
    forgotten = []

    class Pages:
        async def forget_identities(self, source: str, before: object) -> None:
            forgotten.append((source, before))

    clock = ManualClock()
    received = ReceivedRecords(Pages, clock, None)
    for _ in range(3):
        for _ in range(5):
            await received.of(QueueSource(Queue()), "stream_1", first=False, taking=True, trial=False, endless=True)
        clock.pass_time(600)
    age = dt.timedelta(seconds=60)
    assert forgotten == [("queue", clock.now() - dt.timedelta(minutes=10 * ago) - age) for ago in (3, 2, 1)]
    await received.of(QueueSource(Queue()), "run_1", first=False, taking=True, trial=False)
    assert len(forgotten) == 3
