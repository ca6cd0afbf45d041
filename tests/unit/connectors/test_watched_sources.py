"""Tests sources that are read as streams: each record is given once, from whatever state."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import os
import sqlite3
from contextlib import closing
from typing import Any

import pytest

from loom_common.config.credentials import Credentials
from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.definition.streams.settings import Pace
from loom_common.errors import ConfigurationError, InvalidDefinition
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.places import NamedPlace
from loom_connectors.ports.source import Page, ReadRecord
from loom_connectors.registry import open_source
from loom_connectors.watched import folder as watched_folder
from loom_connectors.watched import waiting
from loom_connectors.watched.opening import open_stream
from loom_connectors.watched.table import PolledTable
from support.pieces import MOST_PAGES

PACE = Pace(wait_seconds=0.02, size=100, poll_seconds=0.01)


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """Let nothing be waited for: what is not there now is not there."""
    monkeypatch.setattr(waiting, "QUIET_SECONDS", 0.0)
    monkeypatch.setattr("loom_connectors.watched.table.QUIET_SECONDS", 0.0)


def stream(folder, source: str = "in/*.jsonl", **extract: Any):
    settle = {"settle": "0s"} if source.startswith("in") else {}
    config = ExtractConfig(source=source, **{**settle, **extract})
    return open_stream(config, ConnectorContext(folder=folder, credentials=Credentials({})), PACE)


def put(folder, name: str, *numbers: int) -> None:
    (folder / "in").mkdir(exist_ok=True)
    (folder / "in" / name).write_text("".join(json.dumps({"n": each}) + "\n" for each in numbers))


async def taken(source, state: Any = None, limit: int = 1000) -> tuple[list[Any], Any]:
    """Return the records that are there now, in their order, and the state after them."""
    found: list[Any] = []
    for _ in range(MOST_PAGES):
        received = await source.receive(state, limit)
        if not received.messages and received.state == state:
            return found, state
        state = json.loads(json.dumps(received.state))
        found += [record for each in received.messages for record in source.records_of(each.body, "")]
        if not received.messages and state["file" if "file" in state else "cursor"] is None:
            return found, state
    raise AssertionError(f"The source still takes something: {state}")


def numbers(records: list[Any]) -> list[int]:
    return [each.data["n"] for each in records]


@pytest.mark.parametrize("limit", [1, 2, 1000])
async def test_files_are_read_once_in_the_order_in_which_they_appeared(tmp_path, limit):
    put(tmp_path, "b.jsonl", 1, 2, 3)
    put(tmp_path, "a.jsonl", 4)
    found, state = await taken(stream(tmp_path), limit=limit)
    assert numbers(found) == [1, 2, 3, 4]
    assert found[0].position == "in/b.jsonl line 1"
    put(tmp_path, "c.jsonl", 5)
    again, state = await taken(stream(tmp_path), state, limit)  # another process goes on
    assert numbers(again) == [5]
    assert (await taken(stream(tmp_path), state, limit))[0] == []


async def test_a_file_that_is_moved_there_with_an_old_time_is_new(tmp_path):
    put(tmp_path, "a.jsonl", 1)
    _, state = await taken(stream(tmp_path))
    old = tmp_path / "old.jsonl"
    old.write_text('{"n": 2}\n')
    os.utime(old, (1, 1))
    old.rename(tmp_path / "in" / "old.jsonl")
    assert numbers((await taken(stream(tmp_path), state))[0]) == [2]


async def test_the_state_does_not_grow_with_the_files(tmp_path, monkeypatch):
    monkeypatch.setattr(watched_folder, "_LAG_SECONDS", 0)
    for number in range(50):
        put(tmp_path, f"f{number}.jsonl", number)
    found, state = await taken(stream(tmp_path))
    assert len(found) == 50
    assert len(state["taken"]) <= 2


async def test_a_file_that_may_still_be_written_to_holds_back_those_after_it(tmp_path):
    put(tmp_path, "a.jsonl", 1)
    assert (await taken(stream(tmp_path, settle="1h")))[0] == []


async def test_a_file_that_has_just_arrived_is_waited_for(tmp_path):
    opened = stream(tmp_path, settle="1s")
    put(tmp_path, "a.jsonl", 1)
    assert numbers((await taken(opened))[0]) == [1]


@pytest.mark.parametrize("source", ["in", "in/**/*.jsonl", "in/day=*/shop=*/*.jsonl"])
async def test_the_folders_of_a_file_are_fields_of_its_records_as_in_a_run_over_the_whole(tmp_path, source):
    options: dict[str, Any] = {"options": {"format": "jsonl"}} if source == "in" else {}
    for day, shop, number in (("2026-11-01", "a b", 1), ("2026-11-02", "c%2Fd", 2)):
        folder = tmp_path / "in" / f"day={day}" / f"shop={shop}"
        folder.mkdir(parents=True)
        (folder / "part.jsonl").write_text(json.dumps({"n": number, **({"day": "own"} if number == 2 else {})}) + "\n")
    opened = stream(tmp_path, source, settle="0s", **options)
    found, _ = await taken(opened)
    assert [each.data for each in found] == [
        {"n": 1, "day": "2026-11-01", "shop": "a b"},
        {"n": 2, "day": "own", "shop": "c/d"},
    ]
    whole = open_source(ExtractConfig(source=source, **options), ConnectorContext(tmp_path, Credentials({})))
    assert [(each.position, each.data) for each in (await whole.read(None, 10)).records] == [
        (each.position, each.data) for each in found
    ]
    assert {"day", "shop"} <= set((await opened.fields()).names)


async def test_the_folders_of_a_file_are_left_out_where_the_pipeline_says_so(tmp_path):
    folder = tmp_path / "in" / "day=2026-11-01"
    folder.mkdir(parents=True)
    (folder / "part.jsonl").write_text('{"n": 1}\n')
    found, _ = await taken(stream(tmp_path, "in/*/*.jsonl", options={"partitions": False}))
    assert [each.data for each in found] == [{"n": 1}]


async def test_a_packed_file_beside_others_is_read_by_its_own_ending(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv.gz").write_bytes(gzip.compress(b"n\n1\n"))
    (tmp_path / "in" / "b.csv").write_text("n\n2\n")
    found, _ = await taken(stream(tmp_path, "in/*", options={"format": "csv"}))
    assert sorted(each.data["n"] for each in found) == ["1", "2"]


async def test_a_file_that_cannot_be_read_is_one_bad_record(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_bytes(b"id\n\xff\xfe\n")
    (tmp_path / "in" / "b.csv").write_text("n\n1\n")
    found, _ = await taken(stream(tmp_path, "in/*.csv"))
    assert [each.error is None for each in found][-1]
    assert any(each.error is not None for each in found[:-1])


async def test_whole_numbers_and_errors_are_kept_as_they_are(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jsonl").write_text('{"n": 123456789012345678901234567890, "f": 0.1}\n{oops\n')
    found, _ = await taken(stream(tmp_path))
    assert found[0].data == {"n": 123456789012345678901234567890, "f": 0.1}
    assert found[1].error is not None
    assert found[1].error.code


async def test_a_table_gives_what_changed_and_nothing_twice(tmp_path):
    def write(*rows: tuple[str, int]) -> None:
        with closing(sqlite3.connect(tmp_path / "in.db")) as database:
            database.execute("CREATE TABLE IF NOT EXISTS t (id TEXT PRIMARY KEY, n INTEGER)")
            database.executemany("INSERT OR REPLACE INTO t VALUES (?, ?)", rows)
            database.commit()

    def opened():
        source = "sqlite:///in.db?table=t"
        return stream(tmp_path, source, key="id", incremental={"column": "n", "lag": 3})

    write(("a", 1), ("b", 2), ("c", 3))
    found, state = await taken(opened(), limit=2)
    assert numbers(found) == [1, 2, 3]
    write(("a", 9), ("d", 2), ("e", 8))
    found, state = await taken(opened(), state, 2)
    assert sorted(numbers(found)) == [2, 8, 9]
    assert len({each.position for each in found}) == 3
    write(("f", 7), ("g", 1))  # the one lies within the lag, the other below it
    found, state = await taken(opened(), state, 2)
    assert numbers(found) == [7]
    assert (await taken(opened(), state))[0] == []


@pytest.mark.parametrize(
    ("source", "extract", "key", "words"),
    [
        ("in.jsonl", {}, "extract.source", "a folder or a pattern of files"),
        ("sqlite:///in.db?table=t", {}, "extract.source", "a table or an API with `extract.incremental`"),
        ("amqp://host?queue=q", {"poll": "1s"}, "extract.poll", "a queue tells of its messages itself"),
        ("redis://host?stream=s", {"poll": "1s"}, "extract.poll", "tells of its messages itself"),
        ("amqp://host?queue=q", {"options": {"until": "idle"}}, "extract.options.until", "a stream takes what comes"),
        ("amqp://host?queue=q", {"settle": "1s"}, "extract.settle", "files that may still be written to"),
    ],
)
async def test_what_cannot_be_a_stream_is_refused_with_its_place(tmp_path, source, extract, key, words):
    with pytest.raises(InvalidDefinition) as raised:
        await stream(tmp_path, source, **extract).check()
    (problem,) = raised.value.problems
    assert ".".join(problem.path) == key
    assert words in str(problem)


def named(text):
    return NamedPlace(text, dt.datetime(2026, 11, 28, 12, tzinfo=dt.UTC))


async def test_a_process_that_has_looked_ahead_begins_with_the_first_file_of_another_place(tmp_path):
    for at, name in enumerate(("a", "b", "c")):
        put(tmp_path, f"{name}.jsonl", at)
    _, state = await taken(stream(tmp_path))
    put(tmp_path, "d.jsonl", 3)
    source = stream(tmp_path)
    assert numbers(source.records_of((await source.receive(state, 10)).messages[0].body, "")) == [3]
    place = await source.place(named("b.jsonl"), state)
    assert (place.words, place.back) == ("in/b.jsonl", True)
    again, after = await taken(source, place.state)
    assert numbers(again) == [1, 2, 3]
    put(tmp_path, "e.jsonl", 4)
    assert numbers((await taken(stream(tmp_path), after))[0]) == [4]  # another process goes on


async def test_a_file_of_the_same_second_that_lies_before_the_place_is_left_out(tmp_path):
    put(tmp_path, "a.jsonl", 1)
    put(tmp_path, "b.jsonl", 2)
    source = stream(tmp_path)
    place = await source.place(named("b.jsonl"), None)
    assert (place.was, place.back) == (None, False)
    assert numbers((await taken(source, place.state))[0]) == [2]
    end = await source.place(named("end"), place.state)
    assert (await taken(source, end.state))[0] == []
    with pytest.raises(ConfigurationError, match="the name of a file that is there"):
        await source.place(named("z.jsonl"), None)


class Whole:
    """Gives all its rows, whatever it is asked for."""

    def __init__(self, *values):
        self.values = list(values)

    async def read(self, cursor, limit):
        return Page([ReadRecord(f"row {each}", {"n": each}) for each in self.values], None, end=True)

    async def close(self):
        pass


async def test_rows_within_the_lag_below_a_place_are_not_read_though_the_source_gives_them():
    config = ExtractConfig(source="sqlite:///in.db?table=rows", key="n", incremental={"column": "n", "lag": 5})
    context = ConnectorContext(folder=".", credentials=Credentials({}))
    whole = Whole(*range(10))
    pace = Pace(wait_seconds=0.02, size=100, poll_seconds=0.0)
    table = PolledTable(config, context, pace, whole, lambda *_: whole)
    place = await table.place(named("7"), None)
    found, state = await taken(table, place.state)
    assert numbers(found) == [7, 8, 9]
    whole.values.append(10)
    assert numbers((await taken(table, state))[0]) == [10]
    back = await table.place(named("9"), state)
    assert (back.back, back.was, back.words) == (True, "n 9", "n 9")
    assert not (await table.place(named("11"), state)).back
    with pytest.raises(ConfigurationError, match="it is a time, and the column holds a number"):
        await table.place(named("2h"), state)
