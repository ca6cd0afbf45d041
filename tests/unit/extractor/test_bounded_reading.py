"""Slices of large records end by their bytes: in the same place whoever reads them, after reading little beyond it."""

import pytest

from loom_common.domain.record_bytes import bytes_of
from loom_common.worker.slices import SliceRecord
from loom_connectors.ports.source import Page, ReadRecord
from loom_extractor.identity import Identified
from loom_extractor.sources.bounded_reading import BoundedReading, RecordSizes
from loom_extractor.sources.received import RunsReceivedRecords
from support.pieces import MOST_PAGES

KIB = 1024
BOUND = 64 * KIB


def records_of(*sizes: int) -> list[ReadRecord]:
    return [ReadRecord(f"row {at}", {"text": "x" * (size - len('{"text":""},'))}) for at, size in enumerate(sizes)]


def identify(records) -> Identified:
    found = [SliceRecord(each.position, each.data) for each in records]
    return Identified(found, bytes_of([each.data for each in records]))


class CountingSource:
    """Says how many bytes were read of it at once, at most."""

    def __init__(self, records):
        self.records = records
        self.most = self.reads = 0

    async def read(self, cursor, limit):
        start = cursor or 0
        page = self.records[start : start + limit]
        self.reads += 1
        self.most = max(self.most, sum(len(each.data["text"]) for each in page))
        return Page(page, start + len(page), end=start + len(page) == len(self.records))


async def slices_of(source, sizes: RecordSizes, limit: int = 4_000) -> list[tuple[int, int, bool]]:
    """Return the number of records, the bytes and the end of each slice."""
    cursor, end, found = None, False, []
    while not end:
        assert len(found) < MOST_PAGES, "The slices have no end."
        page, records, size = await BoundedReading(sizes, "plan", BOUND, identify).read(source, cursor, limit, None)
        assert [each.id for each in records] == [each.position for each in page.records]
        assert [each.position for each in page.records] == [f"row {at}" for at in range(cursor or 0, page.cursor)]
        found.append((len(page.records), size, page.end))
        cursor, end = page.cursor, page.end
    return found


async def test_a_slice_ends_before_the_record_that_makes_it_too_large():
    assert await slices_of(CountingSource(records_of(*[20 * KIB] * 7)), RecordSizes()) == [
        (3, 60 * KIB, False),
        (3, 60 * KIB, False),
        (1, 20 * KIB, True),
    ]


async def test_a_record_that_is_larger_than_a_slice_may_be_is_a_slice_of_its_own():
    found = await slices_of(CountingSource(records_of(KIB, 100 * KIB, 100 * KIB, KIB)), RecordSizes())
    assert [(count, end) for count, _, end in found] == [(1, False), (1, False), (1, False), (1, True)]


MIXED = [*[KIB] * 300, *[30 * KIB] * 9, *[100] * 2_000, *[63 * KIB, 100] * 5]


@pytest.mark.parametrize("known", [None, 1, 100, 5 * KIB, 10_000 * KIB])
async def test_a_slice_ends_in_the_same_place_whatever_a_replica_has_read_before(known):
    sizes = RecordSizes()
    if known is not None:
        sizes.learn("plan", 1, known)
    assert await slices_of(CountingSource(records_of(*MIXED)), sizes) == await slices_of(
        CountingSource(records_of(*MIXED)), RecordSizes()
    )


async def test_no_more_is_read_at_once_than_a_part_of_the_slice_once_records_are_known():
    source, sizes = CountingSource(records_of(*[8 * KIB] * 400)), RecordSizes()
    sizes.learn("plan", 1, 8 * KIB)
    await slices_of(source, sizes)
    assert source.most <= BOUND / 4


async def test_small_records_are_read_at_once_from_the_second_time_on():
    source, sizes = CountingSource(records_of(*[20] * 1_000)), RecordSizes()
    assert await slices_of(source, sizes, limit=500) == [(500, 10_000, False), (500, 10_000, True)]
    assert source.reads == 3


class Kept(RunsReceivedRecords):
    """Gives a page of a queue that was received at once."""

    def __init__(self, records):
        self.source = CountingSource(records)

    async def read(self, cursor, limit):
        page = await self.source.read(cursor, min(limit, 4 - (cursor or 0) % 4))
        return Page(page.records, page.cursor, page.end, known=7)


async def test_a_slice_of_received_records_goes_no_further_than_what_was_received_at_once():
    assert await slices_of(Kept(records_of(*[KIB] * 6)), RecordSizes()) == [(4, 4 * KIB, False), (2, 2 * KIB, True)]


async def test_received_records_that_are_large_are_several_slices():
    found = await slices_of(Kept(records_of(*[30 * KIB] * 4)), RecordSizes())
    assert [count for count, _, _ in found] == [2, 2]
    reading = BoundedReading(RecordSizes(), "plan", BOUND, identify)
    page, _, _ = await reading.read(Kept(records_of(*[30 * KIB] * 4)), None, 9, None)
    assert page.known == 7
