"""Tests JSON files that are one array: each item is a record, or alone kept back, however the file is read."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loom_common.config.credentials import Credentials
from loom_common.domain.definition.load import LoadConfig
from loom_common.errors import DestinationError, SourceError
from loom_connectors.formats import json_array
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.destination import LoadBatch, Row
from loom_connectors.registry import open_destination
from support.file_sources import outcome, source_of
from support.pieces import read_through
from support.round_trips import JSON, same, tried

RECORDS = st.lists(st.dictionaries(st.text(max_size=5), JSON, max_size=4), max_size=8)


async def read(folder, content, page=1000):
    source = source_of(folder, content, name="in.json")
    return [outcome(each) for each in await read_through(source, page)]


@tried
@given(records=RECORDS, indent=st.sampled_from([None, 2]), page=st.integers(1, 4), chunk=st.integers(1, 9))
async def test_every_object_is_read_whatever_the_pages_and_the_chunks(records, indent, page, chunk):
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_array, "_CHUNK", max(chunk, 3))
        content = json.dumps(records, indent=indent, ensure_ascii=False)
        if not content[: max(chunk, 3)].strip().startswith("["):
            return
        found = await read(Path(folder), content, page)
    assert [position for position, _, _ in found] == [f"item {at}" for at in range(1, len(records) + 1)]
    assert all(same(data, record) for (_, _, data), record in zip(found, records, strict=True))


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("[]", []),
        (" [ ] ", []),
        ('\ufeff[{"a": 1}]', [("item 1", None)]),
        ('[{"a": 1}, {"a": 1,}, {"a": 2}]', [("item 1", None), ("item 2", "bad_json"), ("item 3", None)]),
        ('[{"a": 1} {"a": 2}, {"a": 3}]', [("item 1", "bad_json"), ("item 2", None)]),
        ('[{"a": 1}, 5, "x, ]", null]', [("item 1", None), *((f"item {at}", "bad_json") for at in (2, 3, 4))]),
        ('[{"a": 1}, {"a": 0.1234567890123456789}]', [("item 1", None), ("item 2", "inexact_number")]),
        ('[{"a": 1}, {"a": 1, "a": 2}]', [("item 1", None), ("item 2", "duplicate_name")]),
        ('[{"a": 1}, {"a": "\\ud800"}]', [("item 1", None), ("item 2", "bad_unicode")]),
        ('[{"a": 1}, {"a": 2}', [("item 1", None), ("item 2", "bad_json")]),
        ('[{"a": 1}, {"a": "open]', [("item 1", None), ("item 2", "bad_json")]),
        ('[{"a": 1}] more', [("item 1", None), ("item 2", "bad_json")]),
        ('[, {"a": 1}]', [("item 1", "bad_json"), ("item 2", None)]),
        (b'[{"a": "\xff"}, {"a": 1}]', [("item 1", "encoding"), ("item 2", None)]),
    ],
)
@pytest.mark.parametrize("page", [1, 1000])
async def test_a_bad_item_costs_one_record(tmp_path, content, found, page):
    assert [(position, code) for position, code, _ in await read(tmp_path, content, page)] == found


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"a": 1}\n{"a": 2}\n', "format: jsonl"),
        ('"text"', "begins with '\"text\"'. Correct the file, or"),
        ("", "is empty"),
    ],
)
async def test_what_is_no_array_is_told(tmp_path, content, words):
    with pytest.raises(SourceError, match=words):
        await source_of(tmp_path, content, name="in.json").check()


async def test_an_item_without_an_end_is_told_in_constant_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(json_array, "LONGEST_LINE", 1000)
    with pytest.raises(SourceError, match=r"begins at byte 10.*never closed"):
        await read(tmp_path, '[{"a": 1},"' + "x" * 1_000_000)


async def load(folder, *numbers, run, mode, name="out.json"):
    config = LoadConfig(destination=name, mode=mode)
    opened = open_destination(config, ConnectorContext(folder, Credentials({})))
    await opened.check()
    await opened.load(LoadBatch(run, "b", 0, 0, 0, [Row(str(each), {"id": each}) for each in numbers]))
    await opened.finalize(run, complete=True)


@pytest.mark.parametrize("before", [None, "[]", "[\n]\n", '\ufeff[{"id": 0}]', '[{"id":0}\n\n]  \n'])
async def test_rows_are_added_before_the_bracket_that_closes_it(tmp_path, before):
    if before is not None:
        (tmp_path / "out.json").write_text(before, encoding="utf-8")
    await load(tmp_path, 1, 2, run="run_1", mode="append")
    await load(tmp_path, run="run_2", mode="append")
    await load(tmp_path, 3, run="run_3", mode="append")
    found = json.loads((tmp_path / "out.json").read_text(encoding="utf-8-sig"))
    assert [each["id"] for each in found] == [*([0] if before and "0" in before else []), 1, 2, 3]


async def test_nothing_is_added_to_what_is_no_array(tmp_path):
    (tmp_path / "out.json").write_text('{"a": 1}')
    with pytest.raises(DestinationError, match="no JSON array"):
        await load(tmp_path, 1, run="run_1", mode="append")
    (tmp_path / "out.json").write_text('[{"a": 1}, ]\n')
    with pytest.raises(DestinationError, match="ends in a comma before its bracket"):
        await load(tmp_path, 1, run="run_2", mode="append")


async def test_an_array_may_be_compressed(tmp_path):
    await load(tmp_path, 1, run="run_1", mode="replace", name="out.json.gz")
    await load(tmp_path, 2, run="run_2", mode="append", name="out.json.gz")
    source = source_of(tmp_path, name="out.json.gz")
    assert [each.data["id"] for each in await read_through(source, 1)] == [1, 2]
    await source.close()


async def test_an_empty_run_writes_an_empty_array(tmp_path):
    await load(tmp_path, run="run_1", mode="replace")
    assert orjson.loads((tmp_path / "out.json").read_bytes()) == []
