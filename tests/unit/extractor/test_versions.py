"""Tests that an incremental run takes the newest version of each row of a source that holds several, whichever replica
reads which slice of it, in whatever order."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loom_common.contracts.v1 import ExtractSlice
from loom_common.domain.definition.reader import parse
from loom_common.domain.incremental.window import Point, Window
from loom_common.domain.run.plan import Plan
from loom_connectors.pieces import pieces_between
from loom_connectors.ports.source import Page, ReadRecord
from loom_extractor.identity import identified
from loom_extractor.incremental import point_taken
from loom_extractor.versions import Versions


class FileLikeSource:
    """Represents rows of files; a cursor is the number of rows before it."""

    holds_versions = True

    def __init__(self, rows):
        self.records = [ReadRecord(f"row {at}", {"id": key, "n": value}) for at, (key, value) in enumerate(rows)]

    async def check(self): ...

    async def count(self): ...

    async def fields(self): ...

    async def close(self): ...

    async def split(self, parts):
        return pieces_between([])

    async def read(self, cursor, limit, until=None):
        last = len(self.records) if until is None else until
        end = min((cursor or 0) + limit, last)
        return Page(self.records[cursor or 0 : end], end, end == last)


def plan_of(window=None, **incremental):
    definition = {
        "name": "p",
        "extract": {"source": "x.csv", "key": "id", "incremental": {"column": "n", **incremental}},
        "transform": {"type": "passthrough"},
        "load": {"destination": "y.csv", "mode": "upsert"},
    }
    return Plan(pipeline=parse(definition), window=window)


def number(value):
    return Point(kind="number", text=str(value))


async def newest(versions, plan, source, start, size, run_id="run_1"):
    page = await source.read(start or None, size)
    request = ExtractSlice(
        run_id=run_id, pipeline="p", plan="h", epoch=1, partition=0, slice=start, cursor=start or None, max_batches=1
    )
    records = [identified(record, ["id"]) for record in page.records]
    kept = await versions.newest(request, source, page, records, ["id"], lambda record: point_taken(record, plan))
    return [(each.input["id"], each.input["n"], each.error.code if each.error else None) for each in kept]


def expected(rows, mark):
    """Return the rows of a run: the first of those with the greatest value of each key, and its equals as duplicates;
    what lies below the mark goes through, and is left out later."""
    new = [row for row in rows if row[1] >= mark]
    best = {key: max(value for other, value in new if other == key) for key, _ in new}
    seen, found = set(), []
    for key, value in rows:
        if value < mark:
            found.append((key, value, None))
        elif value == best[key]:
            found.append((key, value, "duplicate_key" if key in seen else None))
            seen.add(key)
    return found


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 4)), min_size=1, max_size=20),
    size=st.integers(1, 25),
    order=st.randoms(use_true_random=False),
)
def test_any_replica_takes_the_newest_version_of_each_row(rows, size, order):
    plan = plan_of(Window(newest=number(2)))
    starts = list(range(0, len(rows), size))
    asked = order.sample(starts, len(starts))

    async def ask():
        source, found = FileLikeSource(rows), {}
        replicas = [Versions(), Versions()]
        async with replicas[0].closing(), replicas[1].closing():
            for start in asked:
                found[start] = await newest(replicas[start % 2], plan, source, start, size)
        return [row for start in starts for row in found[start]]

    assert asyncio.run(ask()) == expected(rows, 2)


@pytest.mark.parametrize("size", [1, 2, 10])
async def test_a_late_older_version_is_no_news(size):
    """Tests versions within the lag: of `a` an earlier run has read a newer one, of `b` an older one."""
    plan = plan_of(Window(newest=number(9), read={"a": number(9), "b": number(7)}), lag=5)
    rows = [("a", 6), ("b", 6), ("a", 9), ("b", 8)]
    async with (versions := Versions()).closing():
        found = [
            row for at in range(0, 4, size) for row in await newest(versions, plan, FileLikeSource(rows), at, size)
        ]
    taken = [(key, value) for key, value, _ in found if value == 8]
    assert taken == [("b", 8)]
    assert {word for _, _, word in found} == {None}


async def test_runs_do_not_share_their_indexes():
    source, plan = FileLikeSource([("a", 1), ("a", 2)]), plan_of()
    async with (versions := Versions(runs=1)).closing():
        assert await newest(versions, plan, source, 0, 1, "one") == []
        assert await newest(versions, plan, FileLikeSource([("a", 1)]), 0, 1, "two") == [("a", 1, None)]
        assert await newest(versions, plan, source, 1, 1, "one") == [("a", 2, None)]
