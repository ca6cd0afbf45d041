"""A partition whose slices follow one another is read on before its next slice is asked for. Nothing else depends on
it: every slice is what it would be, and what goes wrong meanwhile is raised where the slice is asked for."""

import asyncio
import gc

import pytest

from loom_common.config.credentials import Credentials
from loom_common.contracts.v1 import RunEpoch
from loom_common.domain.run.piece import Piece
from loom_common.errors import SourceError, Timeout
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.source import Page
from loom_connectors.registry import open_source
from loom_dev.waiting import within
from loom_extractor.sources import read_ahead
from loom_extractor.sources.bounded_reading import IdentifiedPage, PagesAhead
from support.slices_in_turn import QueueSource, RecordedSource, numbered, one_file, reader


async def test_a_slice_that_follows_two_others_is_read_before_it_is_asked_for(tmp_path):
    async with reader(tmp_path) as one:
        await one.begun()
        await one.read_on()
        assert one.source.read_from == [0, 4, 8]
        [fact, *batches] = await one.slice(2, 8)
        assert [record.id for each in batches for record in each.message.records] and fact.message.cursor == 12
        assert one.source.read_from[:3] == [0, 4, 8] and one.source.read_from.count(8) == 1
        await one.read_on()
        assert one.source.read_from[-1] == 12


async def test_nothing_is_read_ahead_after_one_slice_alone(tmp_path):
    async with reader(tmp_path) as one:
        await one.slice(3, 12)
        assert not one.readings


async def test_nothing_is_read_ahead_where_somebody_else_has_read_the_slice_between(tmp_path):
    async with reader(tmp_path) as one:
        await one.slice(0, None)
        await one.slice(2, 8)
        assert not one.readings


async def test_nothing_is_read_ahead_where_the_run_waits_for_something_else(tmp_path, monkeypatch):
    monkeypatch.setattr(read_ahead, "SOON_SECONDS", -1)
    async with reader(tmp_path) as one:
        await one.begun()
        assert not one.readings


async def test_nothing_is_read_ahead_after_the_end_nor_beyond_what_the_run_takes(tmp_path):
    async with reader(tmp_path, RecordedSource(numbered(8))) as one:
        await one.begun()
        assert not one.readings
    async with reader(tmp_path) as one:
        await one.slice(0, None, limit=8)
        await one.slice(1, 4, limit=4)
        assert not one.readings


@pytest.mark.parametrize("batches", [[2] * 8, [2, 2, 3, 1, 4, 2, 2], [1, 1, 5, 5, 1, 1]])
@pytest.mark.parametrize(("size", "extract"), [(0, {}), (0, {"key": "id"}), (300_000, {"slice_mb": 1})])
async def test_every_slice_is_what_it_is_without_reading_ahead(tmp_path, batches, size, extract):
    async with reader(tmp_path, RecordedSource(numbered(26, size)), extract=extract) as one:
        cursor, asked = None, []
        for number, most in enumerate(batches):
            asked.append((number, cursor, most, await one.slice(number, cursor, max_batches=most)))
            cursor = asked[-1][3][0].message.cursor
            await one.read_on()
    assert max(one.source.read_from) > 8
    for number, start, most, outgoing in asked:
        async with reader(tmp_path, RecordedSource(numbered(26, size)), extract=extract) as other:
            assert await other.slice(number, start, max_batches=most) == outgoing


async def test_what_goes_wrong_is_raised_when_the_slice_is_asked_for(tmp_path):
    async with reader(tmp_path) as one:
        one.source.fails_at = 8
        assert await one.begun() == 8
        await one.read_on()
        assert one.source.read_from == [0, 4, 8]
        with pytest.raises(SourceError, match="The line is broken"):
            await one.slice(2, 8)
        assert one.source.read_from == [0, 4, 8]
        one.source.fails_at = None
        assert (await one.slice(2, 8))[0].message.cursor == 12


async def test_what_goes_wrong_is_not_said_where_nobody_asks(tmp_path, caplog):
    async with reader(tmp_path) as one:
        one.extractor._reader._ahead._kept_seconds = 0.01
        one.source.fails_at = 8
        await one.begun()
        await one.read_on()
        async with within(10, "the reading to be dropped"):
            while one.readings:
                await asyncio.sleep(0.001)
        gc.collect()
        await asyncio.sleep(0)
    assert one.source.read_from == [0, 4, 8]
    assert [each.getMessage() for each in caplog.records] == []


async def test_reading_that_takes_too_long_ends_by_the_limit_of_the_request(tmp_path):
    async with reader(tmp_path, timeouts={"extract": "100ms"}) as one:
        one.source.waits_at = 8
        await one.begun()
        with pytest.raises(Timeout, match=r"timeouts\.extract"):
            await one.slice(2, 8)
        assert one.source.cancelled and not one.readings


async def test_reading_ends_with_the_request_that_waits_for_it(tmp_path):
    async with reader(tmp_path) as one:
        one.source.waits_at = 8
        await one.begun()
        [reading] = one.readings.values()
        asked = asyncio.create_task(one.slice(2, 8))
        async with within(10, "a request that waits for the reading"):
            while one.readings:
                await asyncio.sleep(0)
        asked.cancel()
        await asyncio.wait([asked, reading.task])
        assert asked.cancelled() and reading.task.cancelled()


def test_a_page_is_taken_only_where_it_begins():
    page = IdentifiedPage(Page(numbered(2), 2, end=False), [], 10)
    ahead = PagesAhead(0, [page, page])
    assert ahead.next(1, 10) is None
    assert ahead.next(0, 1) is None
    assert ahead.next(0, 2) == page
    assert ahead.next(0, 2) is None
    assert ahead.next(2, 2) == page
    assert ahead.next(2, 2) is None


@pytest.mark.parametrize("request_", [{"epoch": 2}, {"cursor": 6}, {"piece": Piece(start=None, until=None)}])
async def test_what_was_read_for_another_request_is_not_taken(tmp_path, request_):
    async with reader(tmp_path) as one:
        await one.begun()
        await one.read_on()
        asked = {"cursor": 8, **request_}
        await one.slice(2, asked.pop("cursor"), **asked)
        assert one.source.read_from[3] == request_.get("cursor", 8)


async def test_a_run_that_is_paused_or_cancelled_holds_nothing(tmp_path):
    async with reader(tmp_path) as one:
        one.source.waits_at = 8
        await one.begun()
        [reading] = one.readings.values()
        await asyncio.sleep(0)
        await one.extractor.hear(RunEpoch(run_id="run_2", epoch=2))
        assert one.readings
        await one.extractor.hear(RunEpoch(run_id="run_1", epoch=2, cancelled=True))
        assert not one.readings
        await asyncio.wait([reading.task])
        assert reading.task.cancelled()


async def test_what_nobody_asks_for_is_dropped(tmp_path):
    async with reader(tmp_path) as one:
        one.extractor._reader._ahead._kept_seconds = 0.01
        await one.begun()
        async with within(10, "the reading to be dropped"):
            while one.readings:
                await asyncio.sleep(0.001)
        assert (await one.slice(2, 8))[0].message.cursor == 12


async def test_all_that_is_read_ahead_is_bounded(tmp_path):
    async with reader(tmp_path, RecordedSource(numbered(30, 1_000))) as one:
        one.extractor._reader._ahead._most_bytes = 10_000
        for partition in range(5):
            await one.begun(partition=partition)
        await one.read_on()
        assert len(one.readings) == 2
        assert one.held <= 10_000


async def test_hardly_more_is_read_ahead_than_the_slice_before_had(tmp_path):
    async with reader(tmp_path, RecordedSource(numbered(8) + numbered(8, 500_000)), extract={"batch_size": 2}) as one:
        plan = await one.payloads.put(one.plan.encoded())
        await one.slice(0, None)
        await one.slice(1, 4)
        one.extractor._reader._sizes.learn(plan, 1, 16 * 1024 * 1024)  # so that one record is read at once
        await one.read_on()
        [reading] = one.readings.values()
        assert len(reading.pages) == 1


async def test_a_source_that_gives_each_record_once_is_not_read_ahead(tmp_path):
    async with reader(tmp_path, QueueSource(numbered(30))) as one:
        await one.begun()
        await one.read_on()
        assert one.source.read_from == [0, 4]


async def test_a_source_that_is_near_is_not_read_ahead(tmp_path):
    one_file(tmp_path)
    async with reader(tmp_path) as one:
        one.source = open_source(one.plan.pipeline.extract, ConnectorContext(tmp_path, Credentials({})))
        cursor = (await one.slice(0, None))[0].message.cursor
        await one.slice(1, cursor)
        assert not one.readings


async def test_a_stream_is_not_read_ahead(tmp_path):
    async with reader(tmp_path) as one:
        one.plan = one.plan.model_copy(update={"stream": "stream_1"})
        await one.begun()
        assert not one.readings


async def test_a_file_that_changed_is_noticed_by_the_next_slice(tmp_path):
    file = one_file(tmp_path)
    async with reader(tmp_path) as one:
        one.source = open_source(one.plan.pipeline.extract, ConnectorContext(tmp_path, Credentials({})))
        one.source.is_near = False
        cursor = (await one.slice(0, None))[0].message.cursor
        cursor = (await one.slice(1, cursor))[0].message.cursor
        await one.read_on()
        file.write_text("id,text\n" + "".join(f"{at},y\n" for at in range(41)))
        outgoing = await one.slice(2, cursor)
        assert {record.input["text"] for each in outgoing[1:] for record in each.message.records} == {"x"}
        with pytest.raises(SourceError, match="changed while the run was reading it"):
            await one.slice(3, outgoing[0].message.cursor)


async def test_nothing_is_held_any_more_when_the_extractor_closes(tmp_path):
    async with reader(tmp_path) as one:
        one.extractor._reader._ahead._kept_seconds = 3_600
        one.source.waits_at = 8
        await one.begun()
        [reading] = one.readings.values()
        await asyncio.sleep(0)
    assert reading.task.cancelled() and not one.readings
