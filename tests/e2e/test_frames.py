"""Tests runs whose records come from Python, and whose rows go back there."""

import asyncio
import datetime as dt
import decimal
import subprocess
import sys

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loom import Loom
from loom.frames.given import records_of
from loom.project.config import LoomConfig
from loom.session import open_session
from loom.stored_records import stored
from loom.views import open_views
from loom_common.adapters.payloads.folder import FolderPayloads
from loom_common.contracts.v1 import RunRequest
from loom_common.domain.definition.reader import parse
from loom_common.errors import ConfigurationError
from loom_connectors.given.pieces import line_of, record_of
from loom_connectors.given.source import StoredRecords
from support.clients import ended
from support.projects import project

ROWS = [{"id": n, "text": f"«{n}»\n", "big": 2**53 + n, "none": None, "deep": {"a": [n]}} for n in range(250)]


@pytest.fixture
def loom(tmp_path, monkeypatch):
    project(tmp_path, 3)
    monkeypatch.chdir(tmp_path)
    return Loom()


async def in_turn(rows):
    for row in rows:
        yield row


GIVEN = {
    "list": lambda rows: rows,
    "generator": iter,
    "asynchronous generator": in_turn,
    "pandas": lambda rows: pd.DataFrame(rows).astype({"none": object}),
    "polars": pl.DataFrame,
    "arrow table": pa.Table.from_pylist,
    "arrow batches": lambda rows: pa.Table.from_pylist(rows).to_reader(),
}


@pytest.mark.parametrize("given", GIVEN)
async def test_what_python_gives_is_what_it_gets_back(loom, tmp_path, given):
    result = await loom.run_pipeline(loom.load_pipeline("pipeline.yaml"), records=GIVEN[given](ROWS), collect=True)
    assert result.status == "succeeded"
    assert list(result.records()) == ROWS
    assert not list((tmp_path / ".loom/payloads").glob("given_*"))
    assert not (tmp_path / "results/out.csv").exists()


async def test_a_pipeline_whose_rows_were_collected_loads_where_it_says_when_it_is_run_by_its_name(loom, tmp_path):
    pipeline = loom.load_pipeline("pipeline.yaml")
    await loom.run_pipeline(pipeline, records=ROWS[:2], collect=True, budget=0.5)
    assert not (tmp_path / "results/out.csv").exists()
    async with open_session(loom._config, cluster=False) as session:
        accepted = await session.start(RunRequest(pipeline=pipeline.name))
        report = (await ended(session, accepted.run_id)).report
    assert (report.records["loaded"], report.budget) == (3, None)
    assert (tmp_path / "results/out.csv").read_text().count("\nr00000") == 3
    assert not list((tmp_path / ".loom/payloads").glob("kept_*"))


async def test_rows_come_back_as_frames_with_their_values(loom):
    rows = [{"id": 2**62, "price": "12.50", "n": 1}, {"id": 2, "price": None, "n": None}]
    result = await loom.run_pipeline(loom.load_pipeline("pipeline.yaml"), records=rows, collect=True)
    table = result.to_arrow(types={"price": "decimal(12,2)"})
    assert table.to_pylist() == [
        {"id": 2**62, "price": decimal.Decimal("12.50"), "n": 1},
        {"id": 2, "price": None, "n": None},
    ]
    assert result.to_pandas()["n"].dtype == pd.ArrowDtype(pa.int64())
    assert result.to_polars().to_dicts() == rows
    with pytest.raises(ConfigurationError, match="price"):
        result.to_arrow(types={"price": "integer"})


async def test_a_run_from_python_says_what_was_found_before_it_began(loom):
    pipeline = loom.load_pipeline("pipeline.yaml")
    of_the_file = await loom.run_pipeline(pipeline)
    of_records = await loom.run_pipeline(pipeline, records=[{"id": 7}])
    async with open_views(loom._config) as views:
        found = {each.report.run_id: each.preflight for each in await views.manifest(None, None, None)}
    for run in (of_the_file, of_records):
        assert {check["what"]: check["ok"] for check in found[run.run_id]["checks"]}["destination"]
    assert "id" in [each["column"] for each in found[of_the_file.run_id]["columns"]]
    given = next(check for check in found[of_records.run_id]["checks"] if check["what"] == "source")
    assert given["detail"] == "records that were given to the run"


async def test_a_run_from_python_that_cannot_end_well_does_not_begin(loom, tmp_path):
    pipeline = loom.load_pipeline("pipeline.yaml")
    (tmp_path / "reviews.csv").rename(tmp_path / "elsewhere.csv")
    with pytest.raises(ConfigurationError, match=r"reviews\.csv.*No such file"):
        await loom.run_pipeline(pipeline)
    async with open_views(loom._config) as views:
        assert await views.manifest(None, None, None) == []


async def test_rows_that_were_not_collected_are_where_they_were_loaded(loom):
    result = await loom.run_pipeline(loom.load_pipeline("pipeline.yaml"))
    with pytest.raises(ConfigurationError, match="collect=True"):
        result.records()


def broken():
    yield {"id": 1}
    raise RuntimeError("the shop is closed")


class Unclosable:
    """Gives what it was made with, and cannot be closed."""

    def __init__(self, *records):
        self._records = records

    def __iter__(self):
        return iter(self._records)

    def close(self):
        raise OSError("it stays open")


REFUSED = {
    "a text": (lambda: "records.csv", "is of type str"),
    "one record": (lambda: {"id": 1}, "is of type dict"),
    "a number": (lambda: 3, "is of type int"),
    "no record": (lambda: [{"id": 1}, 2], "Record 2 of `records` is of type int, not a dict."),
    "no JSON": (lambda: [{"id": {1}}], "Record 1 of `records`, field 'id': a value of type set has no JSON form"),
    "not a number": (lambda: [{"x": float("nan")}], "Record 1 of `records`, field 'x': is nan"),
    "a generator that raises": (broken, "raised RuntimeError: the shop is closed after 1 records."),
    "records that cannot be closed": (lambda: Unclosable({"id": 1}), "raised OSError: it stays open after 1 records."),
    "no record, and cannot be closed": (lambda: Unclosable({"id": 1}, 2), "Record 2 of `records` is of type int"),
    "columns of one name": (lambda: pd.DataFrame([[1, 2]], columns=["a", "a"]), "more than one column named 'a'"),
    "an index without name": (lambda: pd.DataFrame({"a": [1]}, index=["x"]), "index without a name"),
    "an index like a column": (lambda: pd.DataFrame({"a": [1]}, index=pd.Index([1], name="a")), "named 'a'"),
    "a column without name": (lambda: pd.DataFrame([[1]]), "named 0, which is no text"),
    "a mixed column": (lambda: pd.DataFrame({"a": [1, "x"]}), "no single type"),
    "a pandas series": (lambda: pd.Series([1]), "Give a frame: `series.to_frame()`."),
    "a polars series": (lambda: pl.Series([1]), "Give a frame: `series.to_frame()`."),
    "a lazy frame": (lambda: pl.LazyFrame({"a": [1]}), "Give `frame.collect()`."),
    "Arrow columns of one name": (lambda: pa.table([[1], [2]], names=["a", "a"]), "more than one column named 'a'"),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_what_is_no_record_is_said_and_leaves_nothing_behind(config, tmp_path, case):
    make, words = REFUSED[case]
    with pytest.raises(ConfigurationError) as raised:
        await read_back(make(), config)
    assert words in str(raised.value)
    assert not list(tmp_path.rglob("given_*"))


async def test_a_run_that_is_refused_leaves_no_records_behind(loom, tmp_path):
    with pytest.raises(ConfigurationError, match="least"):
        await loom.run_pipeline(loom.load_pipeline("pipeline.yaml"), {"least": 1}, records=ROWS)
    assert not list((tmp_path / ".loom/payloads").glob("given_*"))


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return LoomConfig()


PIPELINE = parse(
    {
        "name": "p",
        "version": "1",
        "extract": {"source": "in.csv"},
        "transform": {"type": "passthrough"},
        "load": {"destination": "out.csv"},
    }
)


async def read_back(given, config):
    """Store what is given, and read it as a run does."""
    async with stored(config, records_of(given), PIPELINE) as (name, _):
        source = StoredRecords(name, FolderPayloads(config.project / ".loom/payloads"))
        page = await source.read(None, 1_000_000)
    return [record.data if record.error is None else record.error.code for record in page.records]


async def test_an_index_with_a_name_is_a_column(config):
    frame = pd.DataFrame({"a": [1]}, index=pd.Index(["x"], name="id"))
    assert await read_back(frame, config) == [{"id": "x", "a": 1}]


async def test_a_row_without_a_json_value_is_kept_back_alone_and_a_column_without_one_is_refused(config):
    far = pa.array([0, 2**62, 1], pa.int64()).cast(pa.timestamp("s"))
    assert [type(each) for each in await read_back(pa.table({"at": far}), config)] == [dict, str, dict]
    unions = pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])])
    with pytest.raises(ConfigurationError, match=r"The column 'u' is of type .*union"):
        await read_back(pa.table({"u": unions}), config)


@pytest.mark.parametrize("library", ["pandas", "polars", "arrow"])
async def test_typed_values_are_carried_as_their_documentation_says(config, library):
    utc = dt.datetime(2024, 2, 29, 12, 0, 0, 123456, dt.UTC)
    columns = {
        "big": pa.array([2**63 - 1, None], pa.int64()),
        "price": pa.array([decimal.Decimal("12.50"), None], pa.decimal128(12, 2)),
        "at": pa.array([utc, None], pa.timestamp("us", "Europe/Berlin")),
        "day": pa.array([dt.date(2024, 2, 29), None]),
        "tags": pa.array([["a", "b"], None]),
        "deep": pa.array([{"x": 1}, None]),
    }
    table = pa.table(columns)
    frame = {"arrow": table, "polars": pl.from_arrow(table), "pandas": table.to_pandas(types_mapper=pd.ArrowDtype)}
    assert await read_back(frame[library], config) == [
        {
            "big": 2**63 - 1,
            "price": "12.50",
            "at": "2024-02-29T12:00:00.123456+00:00",
            "day": "2024-02-29",
            "tags": ["a", "b"],
            "deep": {"x": 1},
        },
        dict.fromkeys(columns),
    ]


async def test_nan_of_pandas_is_no_value_and_that_of_polars_is_nan(config):
    of_pandas = pd.DataFrame({"x": [1.5, float("nan")]})
    of_polars = pl.DataFrame({"x": [1.5, float("nan"), None]})
    assert await read_back(of_pandas, config) == [{"x": 1.5}, {"x": None}]
    assert await read_back(of_polars, config) == [{"x": 1.5}, {"x": "NaN"}, {"x": None}]


async def stored_lines(given):
    """Return what the lines of stored records hold."""
    return [record_of(line_of(each), 1).data async for each in records_of(given)]


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
values = st.recursive(scalars, lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(), each, max_size=3))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.dictionaries(st.text(), values, max_size=4), max_size=5))
def test_any_dicts_are_read_back_as_they_are(rows):
    assert asyncio.run(stored_lines(iter(rows))) == rows


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "n": st.none() | st.integers(-(2**63), 2**63 - 1),
                "x": st.none() | st.floats(allow_nan=False, allow_infinity=False),
                "s": st.none() | st.text(),
                "b": st.none() | st.booleans(),
            }
        ),
        min_size=1,
        max_size=5,
    )
)
def test_frames_are_read_back_as_they_are(rows):
    schema = pa.schema([("n", pa.int64()), ("x", pa.float64()), ("s", pa.string()), ("b", pa.bool_())])
    table = pa.Table.from_pylist(rows, schema)
    for frame in (table, pl.from_arrow(table), table.to_pandas(types_mapper=pd.ArrowDtype)):
        assert asyncio.run(stored_lines(frame)) == rows


def test_no_library_of_frames_is_imported_for_dicts():
    code = (
        "import asyncio, sys; from loom.frames.given import records_of; "
        "asyncio.run(anext(records_of([{'a': 1}]))); import loom.stored_records; "
        "print({'pandas', 'polars', 'pyarrow'} & {*sys.modules})"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "set()"
