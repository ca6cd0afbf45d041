"""Tests that a record is a duplicate if and only if its key occurred earlier in the source, whoever asks, in whatever
order."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from loom_common.contracts.v1 import ExtractSlice
from loom_common.errors import RecordError
from loom_connectors.pieces import pieces_between
from loom_connectors.ports.source import Page, ReadRecord
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

    async def check(self): ...

    async def count(self): ...

    async def fields(self): ...

    async def close(self): ...

    async def split(self, parts):
        size = max(1, -(-len(self.records) // parts))
        return pieces_between(range(size, len(self.records), size))

    async def read(self, cursor, limit, until=None):
        self.reads += 1
        last = len(self.records) if until is None else until
        end = min((cursor or 0) + limit, last)
        return Page(self.records[cursor or 0 : end], end, end == last)


def slice_of(number, cursor, run_id="run_1", partition=0, piece=None):
    return ExtractSlice(
        run_id=run_id, pipeline="p", plan="h", epoch=1, partition=partition, slice=number, piece=piece, cursor=cursor,
        max_batches=1,
    )  # fmt: skip


async def verdicts(duplicates, source, number, cursor, size, run_id="run_1", partition=0, piece=None):
    page = await source.read(cursor, size, piece.until if piece else None)
    records = [identified(record, ["id"]) for record in page.records]
    asked = slice_of(number, cursor, run_id, partition, piece)
    marked = await duplicates.marked(asked, source, page, records, ["id"])
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


@settings(max_examples=100, deadline=None)
@given(
    keys=st.lists(st.sampled_from(["a", "b", "c", "d", "e", "bad"]), min_size=1, max_size=30),
    parts=st.integers(2, 4),
    size=st.integers(1, 7),
    data=st.data(),
)
def test_partitions_that_are_read_at_the_same_time_have_the_verdicts_of_the_whole_source(keys, parts, size, data):
    async def ask():
        source = ListSource(keys)
        slices = [
            (partition, piece, number, start)
            for partition, piece in enumerate(await source.split(parts))
            for number, start in enumerate(range(piece.start or 0, piece.until or len(keys), size))
        ]
        order = data.draw(st.permutations([(each, replica) for each in slices for replica in (0, 1)]))
        replicas = [Duplicates(), Duplicates()]
        async with replicas[0].closing(), replicas[1].closing():
            for (partition, piece, number, start), replica in order:
                answer = await verdicts(
                    replicas[replica], source, number, start or None, size, partition=partition, piece=piece
                )
                assert answer == expected(keys)[start : min(start + size, piece.until or len(keys))]

    asyncio.run(ask())


async def test_where_a_key_stays_in_its_piece_no_other_piece_is_read():
    duplicates, source = Duplicates(), ListSource(["a", "a", "b", "b", "b", "c"])
    first, second = (piece.model_copy(update={"whole_keys": True}) for piece in pieces_between([2]))
    async with duplicates.closing():
        assert await verdicts(duplicates, source, 0, 2, 2, partition=1, piece=second) == [None, "duplicate_key"]
        assert await verdicts(duplicates, source, 0, None, 5, partition=0, piece=first) == [None, "duplicate_key"]
        assert source.reads == 2
        assert await verdicts(duplicates, source, 1, 4, 2, partition=1, piece=second) == ["duplicate_key", None]


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
