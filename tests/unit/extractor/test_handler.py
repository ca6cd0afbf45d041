"""Tests that a slice in gives batches out."""

from collections.abc import Mapping

import pytest

from loom_common.adapters.payloads.folder import FolderPayloads
from loom_common.caching.plan_cache import PlanCache
from loom_common.caching.resource_cache import ResourceCache
from loom_common.contracts.v1 import BatchExtracted, ExtractSlice, RecordsQuarantined, SliceExtracted, SplitSource
from loom_common.domain.definition.reader import parse
from loom_common.domain.run.piece import Piece
from loom_common.domain.run.plan import Plan
from loom_common.domain.values.ids import batch_id
from loom_common.errors import PermanentError, RecordError
from loom_common.worker import router
from loom_connectors.pieces import pieces_between
from loom_connectors.ports.source import Page, ReadRecord
from loom_extractor.duplicates import Duplicates
from loom_extractor.handler import Extractor
from support.handling import Context, outgoing_of


class ListSource:
    def __init__(self, records):
        self.records = records
        self.closed = False

    async def read(self, cursor, limit):
        end = min((cursor or 0) + limit, len(self.records))
        return Page(self.records[cursor or 0 : end], end, end == len(self.records))

    async def close(self):
        self.closed = True


def good(number: int) -> ReadRecord:
    return ReadRecord(f"line {number}", {"id": number})


def ragged(number: int) -> ReadRecord:
    return ReadRecord(f"line {number}", {"id": number}, RecordError("3 fields, expected 2", code="ragged_row"))


class Harness:
    """Runs an extractor with a source of its own."""

    def __init__(self, folder, records, **extract):
        definition: Mapping[str, object] = {
            "name": "p",
            "extract": {"source": "x.csv", "key": "id", "batch_size": 2, **extract},
            "transform": {"type": "python", "function": "transforms:judged"},
            "load": {"destination": "y.csv"},
        }
        self.plan = Plan(pipeline=parse(definition))
        self.payloads = FolderPayloads(folder)
        self.source = ListSource(records)
        self.opened = 0
        self.sources = ResourceCache()
        self.duplicates = Duplicates()
        self.extractor = Extractor(PlanCache(self.payloads), self.sources, self.open, self.duplicates)

    def open(self, plan):
        self.opened += 1
        return self.source

    async def split(self, parts):
        plan = await self.payloads.put(self.plan.encoded())
        request = SplitSource(run_id="run_1", pipeline="p", plan=plan, epoch=3, parts=parts)
        pieces = await self.extractor.split(request, Context())
        [outgoing] = router.split(request, pieces, Context())
        assert str(outgoing.route) == "loom.events/source.split.p"
        return outgoing.message

    async def extract(self, **request):
        plan = await self.payloads.put(self.plan.encoded())
        defaults = {"run_id": "run_1", "pipeline": "p", "epoch": 3, "partition": 0, "slice": 0, "max_batches": 3}
        async with self.duplicates.closing():
            return await outgoing_of(self.extractor.read, ExtractSlice(**{**defaults, "plan": plan, **request}))


def of_type(outgoing, kind):
    return [each.message for each in outgoing if isinstance(each.message, kind)]


def fact_of(outgoing) -> SliceExtracted:
    [fact] = of_type(outgoing, SliceExtracted)
    return fact


class DivisibleListSource(ListSource):
    """Can be split at every second record."""

    whole_keys = False

    async def check(self): ...

    async def count(self): ...

    async def fields(self): ...

    async def split(self, parts):
        return pieces_between([2, 4, 6][: (parts or 3) - 1], whole_keys=self.whole_keys)

    async def read(self, cursor, limit, until=None):
        page = await super().read(cursor, min(limit, (until or 1000) - (cursor or 0)))
        return Page(page.records, page.cursor, end=page.end or page.cursor == until)


def divisible(folder, **extract) -> Harness:
    harness = Harness(folder, [], **extract)
    harness.source = DivisibleListSource([good(number) for number in range(8)])
    return harness


async def test_a_source_is_split_into_so_many_pieces(tmp_path):
    split = await divisible(tmp_path).split(3)
    assert [(piece.start, piece.until) for piece in split.pieces] == [(None, 2), (2, 4), (4, None)]
    assert (split.run_id, split.epoch) == ("run_1", 3)


async def test_a_source_that_cannot_be_split_is_one_piece(tmp_path):
    assert (await Harness(tmp_path, [good(1)]).split(3)).pieces == (Piece(),)


async def test_unasked_a_source_is_split_only_where_its_pieces_know_their_keys(tmp_path):
    harness = divisible(tmp_path)
    assert (await harness.split(None)).pieces == (Piece(),)
    harness.source.whole_keys = True
    assert len((await harness.split(None)).pieces) == 3
    assert len((await divisible(tmp_path, key=None).split(None)).pieces) == 3


async def test_a_slice_ends_with_its_piece(tmp_path):
    harness = divisible(tmp_path)
    fact = fact_of(await harness.extract(partition=1, piece=Piece(start=2, until=4), cursor=2))
    assert (fact.partition, fact.cursor, fact.end) == (1, 4, True)
    assert [batch.batch_id for batch in fact.batches] == [batch_id("run_1", 1, 0, 0)]


async def test_a_slice_begins_with_its_fact_and_is_cut_into_batches(tmp_path):
    outgoing = await Harness(tmp_path, [good(n) for n in range(10)]).extract()
    assert [str(each.route) for each in outgoing] == ["loom.events/slice.extracted.p", *["loom.work/transform.p"] * 3]
    batches = of_type(outgoing, BatchExtracted)
    assert [[record.id for record in batch.records] for batch in batches] == [["0", "1"], ["2", "3"], ["4", "5"]]
    assert [batch.header.batch_id for batch in batches] == [batch_id("run_1", 0, 0, n) for n in range(3)]
    assert all(batch.header.epoch == 3 and batch.header.tally.extracted == 2 for batch in batches)
    fact = fact_of(outgoing)
    assert [batch.tally.extracted for batch in fact.batches] == [2, 2, 2]
    assert (fact.cursor, fact.end) == (6, False)


async def test_the_same_slice_again_is_the_same_messages(tmp_path):
    first = await Harness(tmp_path, [good(n) for n in range(5)]).extract()
    again = await Harness(tmp_path, [good(n) for n in range(5)]).extract()
    assert first == again


async def test_in_sequence_a_slice_ends_before_the_record_whose_batch_is_full(tmp_path):
    """The records of one customer are in one batch, however often the slice is read."""
    customers = [ReadRecord(f"line {at}", {"id": at, "customer": name}) for at, name in enumerate("abaacb")]
    harness = Harness(tmp_path, customers)
    load = {"destination": "y.jsonl", "mode": "append"}
    definition = {**harness.plan.pipeline.model_dump(by_alias=True, exclude_defaults=True), "load": load}
    harness.plan = Plan(pipeline=parse({**definition, "mode": "streaming", "order_by": "customer"}))
    first, again = await harness.extract(), await harness.extract()
    assert first == again
    assert [[each.id for each in batch.records] for batch in of_type(first, BatchExtracted)] == [["0", "2"], ["1"]]
    assert (fact_of(first).cursor, fact_of(first).end) == (3, False)
    rest = await harness.extract(slice=1, cursor=3)
    assert [[each.id for each in batch.records] for batch in of_type(rest, BatchExtracted)] == [["3", "5"], ["4"]]


async def test_the_last_slice_says_so(tmp_path):
    fact = fact_of(await Harness(tmp_path, [good(n) for n in range(9)]).extract(slice=1, cursor=6))
    assert [batch.tally.extracted for batch in fact.batches] == [2, 1]
    assert fact.end


async def test_an_empty_source_is_a_slice_without_batches(tmp_path):
    [only] = await Harness(tmp_path, []).extract()
    assert only.message.batches == ()
    assert only.message.end


@pytest.mark.parametrize(("limit", "records", "end"), [(3, 3, True), (6, 6, True), (7, 6, False), (0, 0, True)])
async def test_a_limit_ends_the_source_early(tmp_path, limit, records, end):
    fact = fact_of(await Harness(tmp_path, [good(n) for n in range(20)]).extract(limit=limit))
    assert sum(batch.tally.extracted for batch in fact.batches) == records
    assert fact.end is end


async def test_a_bad_record_is_kept_and_its_neighbour_goes_on(tmp_path):
    outgoing = await Harness(tmp_path, [good(0), ragged(1)]).extract()
    [batch], [kept] = of_type(outgoing, BatchExtracted), of_type(outgoing, RecordsQuarantined)
    assert [record.id for record in batch.records] == ["0"]
    assert (batch.header.tally.extracted, batch.header.tally.quarantined) == (2, 1)
    [record] = kept.records
    assert (record.code, record.reason, record.outcome) == ("ragged_row", "3 fields, expected 2", "quarantined")
    assert record.details == {"position": "line 1"}
    assert fact_of(outgoing).batches[0].tally == batch.header.tally


async def test_a_batch_without_a_good_record_is_ended_by_the_fact_alone(tmp_path):
    outgoing = await Harness(tmp_path, [ragged(0), ragged(1), good(2)]).extract()
    assert [batch.header.position for batch in of_type(outgoing, BatchExtracted)] == [1]
    assert fact_of(outgoing).batches[0].tally.balanced


async def test_skipped_records_are_kept_too_and_counted_as_skipped(tmp_path):
    outgoing = await Harness(tmp_path, [ragged(0)], on_failure="skip").extract()
    [kept] = of_type(outgoing, RecordsQuarantined)
    assert [record.outcome for record in kept.records] == ["skipped"]
    assert fact_of(outgoing).batches[0].tally.skipped == 1


async def test_abort_fails_the_run_with_the_record_and_reason(tmp_path):
    with pytest.raises(PermanentError, match="Record 0@line 0: 3 fields, expected 2"):
        await Harness(tmp_path, [ragged(0)], on_failure="abort").extract()


async def test_only_the_positions_asked_for_are_published_and_all_are_reported(tmp_path):
    records = [ragged(0), good(1), ragged(2), good(3), good(4)]
    outgoing = await Harness(tmp_path, records).extract(positions=(1,))
    assert [batch.header.position for batch in of_type(outgoing, BatchExtracted)] == [1]
    assert [kept.batch_id for kept in of_type(outgoing, RecordsQuarantined)] == [batch_id("run_1", 0, 0, 1)]
    assert [batch.position for batch in fact_of(outgoing).batches] == [0, 1, 2]


async def test_a_duplicate_key_is_kept_with_its_place_and_the_first_goes_on(tmp_path):
    records = [good(1), ReadRecord("line 2", {"id": 1, "text": "other"})]
    outgoing = await Harness(tmp_path, records).extract()
    [batch], [kept] = of_type(outgoing, BatchExtracted), of_type(outgoing, RecordsQuarantined)
    assert [record.id for record in batch.records] == ["1"]
    assert [(record.record_id, record.code) for record in kept.records] == [("1@line 2", "duplicate_key")]
    assert kept.records[0].input == {"id": 1, "text": "other"}


async def test_without_a_key_equal_rows_are_no_duplicates(tmp_path):
    rows = [ReadRecord("line 1", {"text": "x"}), ReadRecord("line 2", {"text": "x"})]
    outgoing = await Harness(tmp_path, rows, key=None).extract()
    [batch] = of_type(outgoing, BatchExtracted)
    assert len({record.id for record in batch.records}) == 2


async def test_a_source_is_opened_once_and_closed_at_the_end(tmp_path):
    harness = Harness(tmp_path, [good(n) for n in range(4)])
    async with harness.sources.closing():
        await harness.extract()
        await harness.extract()
        assert not harness.source.closed
    assert (harness.opened, harness.source.closed) == (1, True)
