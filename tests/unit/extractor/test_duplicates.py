"""Tests that a record is a duplicate if and only if its key occurred earlier in the source, whoever asks, in whatever
order."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from loom_common.contracts.v1 import ExtractSlice
from loom_common.errors import RecordError
from loom_connectors.ports import Page, ReadRecord
from loom_extractor.duplicates import Duplicates
from loom_extractor.identity import identified


class ListSource:
    """Represents a source whose cursor is the number of records before it."""

    def __init__(self, keys):
        self.records = [
            ReadRecord(f"row {number}", {"id": key}, RecordError("bad", code="ragged_row") if key == "bad" else None)
            for number, key in enumerate(keys)
        ]
        self.reads = 0

    async def read(self, cursor, limit):
        self.reads += 1
        end = min((cursor or 0) + limit, len(self.records))
        return Page(self.records[cursor or 0 : end], end, end == len(self.records))


def slice_of(number, cursor, run_id="run_1"):
    return ExtractSlice(
        run_id=run_id, pipeline="p", plan="h", epoch=1, partition=0, slice=number, cursor=cursor, max_batches=1
    )


async def verdicts(duplicates, source, number, cursor, size, run_id="run_1"):
    page = await source.read(cursor, size)
    records = [identified(record, ["id"]) for record in page.records]
    marked = await duplicates.marked(slice_of(number, cursor, run_id), source, page, records, ["id"])
    return [record.error.code if record.error else None for record in marked]


def expected(keys):
    seen = set()
    words = []
    for key in keys:
        words.append("ragged_row" if key == "bad" else "duplicate_key" if key in seen else None)
        if key != "bad":
            seen.add(key)
    return words


@settings(max_examples=60, deadline=None)
@given(
    keys=st.lists(st.sampled_from(["a", "b", "c", "d", "e", "bad"]), max_size=30),
    size=st.integers(1, 7),
    data=st.data(),
)
def test_any_replica_gives_the_same_verdict_at_any_time(keys, size, data):
    slices = [(number, start) for number, start in enumerate(range(0, len(keys), size))]
    asked = data.draw(
        st.lists(st.tuples(st.sampled_from(slices), st.integers(0, 1)), max_size=12) if slices else st.just([])
    )

    async def ask():
        source = ListSource(keys)
        replicas = [Duplicates(), Duplicates()]
        async with replicas[0].closing(), replicas[1].closing():
            for (number, start), replica in asked:
                answer = await verdicts(replicas[replica], source, number, start, size)
                assert answer == expected(keys)[start : start + size]

    asyncio.run(ask())


async def test_slices_in_order_are_read_only_once():
    duplicates, source = Duplicates(), ListSource(["a", "b", "c", "d"])
    async with duplicates.closing():
        assert await verdicts(duplicates, source, 0, None, 2) == [None, None]
        assert await verdicts(duplicates, source, 1, 2, 2) == [None, None]
    assert source.reads == 2


async def test_a_replica_that_comes_late_reads_what_it_missed():
    duplicates, source = Duplicates(), ListSource(["a", "b", "a", "b"])
    async with duplicates.closing():
        assert await verdicts(duplicates, source, 1, 2, 2) == ["duplicate_key", "duplicate_key"]


async def test_runs_do_not_know_each_others_keys():
    duplicates, source = Duplicates(), ListSource(["a"])
    async with duplicates.closing():
        assert await verdicts(duplicates, source, 0, None, 1, "run_1") == [None]
        assert await verdicts(duplicates, source, 0, None, 1, "run_2") == [None]


async def test_a_forgotten_run_is_rebuilt_with_the_same_verdicts():
    duplicates, source = Duplicates(runs=1), ListSource(["a", "b", "a", "c"])
    async with duplicates.closing():
        await verdicts(duplicates, source, 0, None, 2, "run_1")
        await verdicts(duplicates, source, 0, None, 2, "run_2")
        assert await verdicts(duplicates, source, 1, 2, 2, "run_1") == ["duplicate_key", None]


async def test_concurrent_slices_of_many_runs_agree():
    keys = [str(number % 50) for number in range(100)]
    duplicates, source = Duplicates(runs=2), ListSource(keys)
    asked = [(number, start, f"run_{run}") for run in range(5) for number, start in enumerate(range(0, 100, 10))]
    async with duplicates.closing():
        answers = await asyncio.gather(
            *(verdicts(duplicates, source, number, start, 10, run) for number, start, run in asked)
        )
    assert answers == [expected(keys)[start : start + 10] for _, start, _ in asked]
