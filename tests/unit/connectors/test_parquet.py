"""Tests Parquet files: every type is exact in a record and back, or its row alone is kept back."""

from __future__ import annotations

import datetime as dt
import decimal
import sys
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loom_common.config.credentials import Credentials
from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.definition.load import LoadConfig
from loom_common.errors import ConfigurationError, DestinationError, InvalidDefinition, SourceError
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.destination import LoadBatch, LoadResult, Row
from loom_connectors.registry import open_destination, open_source
from loom_connectors.storage.local_storage import LocalResult
from support.file_sources import source_of
from support.pieces import read_through

ZONE = pa.timestamp("us", tz="UTC")
VALUES = [
    (pa.int64(), 2**63 - 1, 2**63 - 1),
    (pa.uint64(), 2**64 - 1, 2**64 - 1),
    (pa.float64(), 0.1, 0.1),
    (pa.float64(), float("nan"), "NaN"),
    (pa.float64(), float("-inf"), "-Infinity"),
    (pa.float32(), 0.1, 0.1),
    (pa.bool_(), False, False),
    (pa.decimal128(12, 2), decimal.Decimal("12.50"), "12.50"),
    (pa.decimal256(60, 3), decimal.Decimal("9" * 50 + ".125"), "9" * 50 + ".125"),
    (pa.string(), "«fine»\n", "«fine»\n"),
    (pa.large_string(), "", ""),
    (pa.binary(), b"\0\xff", {"$bytes": "00ff"}),
    (pa.date32(), dt.date(2024, 2, 29), "2024-02-29"),
    (pa.time64("us"), dt.time(12, 0, 0, 500_000), "12:00:00.5"),
    (pa.timestamp("us"), 1_709_208_000_000_000, "2024-02-29T12:00:00"),
    (
        pa.timestamp("us", tz="Europe/Berlin"),
        dt.datetime(2024, 2, 29, 10, 0, 0, 1, tzinfo=dt.UTC),
        "2024-02-29T10:00:00.000001+00:00",
    ),
    (pa.timestamp("ns", tz="UTC"), 1_709_200_800_000_000_001, "2024-02-29T10:00:00.000000001+00:00"),
    (pa.duration("ms"), -1500, "PT-1.5S"),
    (pa.list_(pa.int64()), [1, None], [1, None]),
    (pa.list_(pa.list_(pa.string())), [["a"], []], [["a"], []]),
    (pa.list_(pa.int64(), 2), [1, 2], [1, 2]),
    (pa.struct([("a", pa.int64()), ("b", pa.date32())]), {"a": 1, "b": None}, {"a": 1, "b": None}),
    (pa.map_(pa.string(), pa.int64()), [("k", 1)], {"k": 1}),
    (pa.map_(pa.int64(), pa.int64()), [(1, 2)], [{"key": 1, "value": 2}]),
    (pa.dictionary(pa.int32(), pa.string()), "a", "a"),
]


def context(folder, schema=None):
    return ConnectorContext(folder, Credentials({}), output_schema=schema)


async def load(folder, *rows, name="out.parquet", mode="replace", run="run_1", schema=None, **options) -> LoadResult:
    config = LoadConfig(destination=name, mode=mode, options=options)
    destination = open_destination(config, context(folder, schema))
    await destination.check()
    batch = LoadBatch(run, "b", 0, 0, 0, [Row(str(at), each) for at, each in enumerate(rows)])
    result = await destination.load(batch)
    await destination.finalize(run, complete=True)
    return result


async def records(folder, name="out.parquet", **options) -> list[dict[str, Any]]:
    source = open_source(ExtractConfig(source=name, options=options), context(folder))
    found = await read_through(source)
    await source.close()
    return [each.data for each in found]


@pytest.mark.parametrize(("kind", "value", "carried"), VALUES, ids=lambda each: str(each)[:40])
async def test_a_value_of_every_type_is_carried_exactly(tmp_path, kind, value, carried):
    pq.write_table(pa.table({"x": pa.array([value, None], kind)}), tmp_path / "in.parquet")
    assert [repr(each["x"]) for each in await records(tmp_path, "in.parquet")] == [repr(carried), "None"]


@pytest.mark.parametrize(
    ("named", "carried", "kind"),
    [
        ("decimal(12,2)", "12.50", pa.decimal128(12, 2)),
        ("decimal(60, 3)", "9" * 50 + ".125", pa.decimal256(60, 3)),
        ("date", "2024-02-29", pa.date32()),
        ("time", "12:00:00.5", pa.time64("us")),
        ("timestamp", "2024-02-29T10:00:00.000001+00:00", ZONE),
        ("local timestamp", "2024-02-29T12:00:00", pa.timestamp("us")),
        ("nanosecond timestamp", "2024-02-29T10:00:00.000000001+00:00", pa.timestamp("ns", tz="UTC")),
        ("integer", 2**63 - 1, pa.int64()),
        ("uint64", 2**64 - 1, pa.uint64()),
        ("float32", 0.1, pa.float32()),
        ("number", "NaN", pa.float64()),
        ("bytes", {"$bytes": "00ff"}, pa.binary()),
        ("list of decimal(5,2)", ["1.00", None], pa.list_(pa.decimal128(5, 2))),
        ("json", {"a": [1, "x"]}, pa.json_()),
    ],
)
async def test_a_type_that_is_named_is_written_and_read_back(tmp_path, named, carried, kind):
    assert (await load(tmp_path, {"x": carried}, {"x": None}, types={"x": named})).loaded == 2
    assert pq.read_schema(tmp_path / "out.parquet").field("x").type == kind
    assert await records(tmp_path) == [{"x": carried}, {"x": None}]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, None], pa.int64()),
        ([1, 0.5], pa.float64()),
        ([2**53 + 1, 0.5], pa.json_()),
        ([2**63], pa.json_()),
        ([True], pa.bool_()),
        (["a", ""], pa.string()),
        ([None], pa.string()),
        ([1, "a"], pa.json_()),
        ([[1], []], pa.list_(pa.int64())),
        ([{"a": 1}, {"a": None}], pa.struct([("a", pa.int64())])),
        ([{"a": 1}, {}], pa.json_()),
        ([{"a": 1}, {"b": 1}], pa.json_()),
        ([[{"a": 1}], [{"a": "x"}]], pa.json_()),
        ([{"$bytes": "00"}], pa.binary()),
    ],
    ids=str,
)
async def test_the_type_of_a_column_is_found_by_all_values_and_holds_each(tmp_path, values, kind):
    await load(tmp_path, *({"x": value} for value in values))
    assert pq.read_schema(tmp_path / "out.parquet").field("x").type == kind
    found = [each["x"] for each in await records(tmp_path)]
    assert found == values
    assert kind == pa.float64() or [type(each) for each in found] == [type(each) for each in values]


async def test_types_are_those_of_the_declared_output(tmp_path):
    members = {"a": {"type": "integer"}}
    schema = {
        "properties": {
            "n": {"type": "integer"},
            "maybe": {"type": ["number", "null"]},
            "at": {"type": "string", "format": "date-time"},
            "tags": {"type": "array", "items": {"type": "string"}},
            "open": {"type": "object", "properties": members},
            "closed": {"type": "object", "properties": members, "required": ["a"], "additionalProperties": False},
        }
    }
    await load(tmp_path, {"id": "1", "n": 1, "tags": []}, schema=schema)
    types = {field.name: field.type for field in pq.read_schema(tmp_path / "out.parquet")}
    assert types == {
        "n": pa.int64(),
        "maybe": pa.float64(),
        "at": ZONE,
        "tags": pa.list_(pa.string()),
        "open": pa.json_(),
        "closed": pa.struct([("a", pa.int64())]),
        "id": pa.string(),
    }


@pytest.mark.parametrize(
    ("named", "value", "words"),
    [
        ("integer", "no", "'no'"),
        ("integer", 1.5, "1.5"),
        ("int8", 300, "300"),
        ("number", 2**53 + 1, "9007199254740993"),
        ("float32", 0.1234567891, "0.1234567891"),
        ("decimal(5,2)", "1.234", "data loss"),
        ("decimal(5,2)", "12345", "does not fit"),
        ("time", "12:00:00.1234567", "more digits"),
        ("timestamp", "2024-02-29T10:00:00", "expected"),
        ("timestamp", "2024-02-29T10:00:00.1234567Z", "2024-02-29"),
        ("local timestamp", "2024-02-29T10:00:00Z", "2024-02-29"),
        ("date", "2024-02-30", "2024-02-30"),
        ("date", "", "null_values"),
        ("boolean", "maybe", "neither true nor false"),
        ("bytes", "abc", "bytes"),
        ("list of integer", 5, "lists"),
    ],
)
async def test_a_value_that_its_column_would_change_fails_its_row_alone(tmp_path, named, value, words):
    result = await load(tmp_path, {"y": 1, "x": value}, {"y": 2}, types={"x": named})
    assert (result.loaded, [each.code for each in result.failed]) == (1, ["type"])
    assert words in result.failed[0].reason
    assert [each["y"] for each in await records(tmp_path)] == [2]


async def test_a_value_that_has_no_json_form_is_told_with_its_column(tmp_path):
    twice = pa.array([[("a", 1), ("a", 2)]], pa.map_(pa.string(), pa.int64()))
    pq.write_table(pa.table({"far": pa.array([2**62], pa.timestamp("us")), "twice": twice}), tmp_path / "in.parquet")
    told = []
    for column in ("far", "twice"):
        source = source_of(tmp_path, name="in.parquet", columns=[column])
        told += [str(each.error) for each in await read_through(source)]
        await source.close()
    assert told == [
        "in.parquet row 1, column far: a date or time so far away that it cannot be written.",
        "in.parquet row 1, column twice: a map that has one key twice.",
    ]


async def test_a_bad_value_keeps_back_its_record_alone(tmp_path):
    texts = pa.array([b"a", b"\xff", b"c"]).view(pa.string())
    pq.write_table(pa.table({"id": [1, 2, 3], "x": texts}), tmp_path / "in.parquet")
    source = source_of(tmp_path, name="in.parquet")
    found = await read_through(source)
    await source.close()
    assert [each.error is None for each in found] == [True, False, True]
    assert str(found[1].error) == "in.parquet row 2, column x: byte 0xff is not UTF-8 text."
    assert (found[1].position, found[1].data) == ("row 2", {"id": 2})


@pytest.mark.parametrize(("content", "words"), [(b"", "no Parquet"), (b"PAR1 and no more", "no Parquet.*format: csv")])
async def test_what_is_no_parquet_file_is_told(tmp_path, content, words):
    source = source_of(tmp_path, content, name="in.parquet")
    with pytest.raises(SourceError, match=words):
        await source.check()


async def test_a_damaged_page_is_told_with_its_row(tmp_path):
    pq.write_table(pa.table({"x": list(range(3000))}), tmp_path / "in.parquet", row_group_size=1000, compression="zstd")
    at = pq.ParquetFile(tmp_path / "in.parquet").metadata.row_group(1).column(0).data_page_offset
    content = bytearray((tmp_path / "in.parquet").read_bytes())
    content[at : at + 40] = b"\xff" * 40
    source = source_of(tmp_path, bytes(content), name="in.parquet")
    page = await source.read(None, 1000)
    assert len(page.records) == 1000
    with pytest.raises(SourceError, match=r"cannot be read from row 1,001 on.*damaged"):
        await source.read(page.cursor, 1000)
    await source.close()


async def test_only_the_named_columns_are_read(tmp_path):
    pq.write_table(pa.table({"a": [1], "b": [2]}), tmp_path / "in.parquet")
    assert await records(tmp_path, "in.parquet", columns=["b"]) == [{"b": 2}]
    with pytest.raises(ConfigurationError, match="no column 'c'; it has a, b"):
        await records(tmp_path, "in.parquet", columns=["c"])


async def test_the_same_rows_make_the_same_bytes(tmp_path):
    for name in ("a.parquet", "b.parquet"):
        await load(tmp_path, *({"x": number, "t": str(number)} for number in range(500)), name=name, run=f"run_{name}")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


async def test_rows_are_added_with_the_types_of_the_file(tmp_path):
    pq.write_table(pa.table({"x": pa.array([1], pa.int32()), "t": ["a"]}), tmp_path / "out.parquet")
    result = await load(tmp_path, {"x": 2, "t": "b"}, {"x": 2**40, "t": "c"}, {"x": 3, "y": 0}, mode="append")
    assert [each.code for each in result.failed] == ["type", "missing_column"]
    assert pq.read_schema(tmp_path / "out.parquet").field("x").type == pa.int32()
    assert await records(tmp_path) == [{"x": 1, "t": "a"}, {"x": 2, "t": "b"}]
    with pytest.raises(DestinationError, match="no column 'z'; it has x, t"):
        await load(tmp_path, {"z": 1}, mode="append", run="run_2")


async def test_rows_are_added_once_where_the_process_died_after_the_exchange(tmp_path, monkeypatch):
    await load(tmp_path, {"x": 0})
    exchanged = LocalResult.exchange

    def dying(result: LocalResult, name: str) -> None:
        exchanged(result, name)
        monkeypatch.setattr(LocalResult, "exchange", exchanged)
        raise KeyboardInterrupt

    monkeypatch.setattr(LocalResult, "exchange", dying)
    with pytest.raises(KeyboardInterrupt):
        await load(tmp_path, {"x": 1}, mode="append", run="run_2")
    await load(tmp_path, {"x": 2}, mode="append", run="run_3")
    await load(tmp_path, {"x": 1}, mode="append", run="run_2")
    assert [each["x"] for each in await records(tmp_path)] == [0, 1, 2]


async def test_a_missing_package_is_told_with_its_extra(tmp_path, monkeypatch):
    for name in [each for each in sys.modules if each.startswith(("pyarrow", "loom_connectors.formats.arrow"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigurationError, match=r"'parquet' needs the package pyarrow.*make extras EXTRAS=arrow"):
        source_of(tmp_path, name="in.parquet")


def test_a_mistaken_type_is_told_with_those_there_are(tmp_path):
    config = LoadConfig(destination="out.parquet", options={"types": {"x": "strng"}})
    with pytest.raises(InvalidDefinition, match=r"one of text, integer.*not 'strng'"):
        open_destination(config, context(tmp_path))


def test_a_name_that_says_it_is_compressed_twice_is_refused(tmp_path):
    with pytest.raises(InvalidDefinition, match=r"without \.gz"):
        source_of(tmp_path, name="in.parquet.gz")


async def test_a_vector_is_a_list_of_numbers_of_32_bits(tmp_path):
    schema = {"properties": {"v": {"type": "array", "items": {"type": "number"}, "format": "vector"}}}
    await load(tmp_path, {"v": [0.100000001, -2.0]}, schema=schema)
    assert pq.read_schema(tmp_path / "out.parquet").field("v").type == pa.list_(pa.float32())
    assert (await records(tmp_path))[0]["v"] == [pytest.approx(0.1), -2.0]
