"""Tests which rows a database is asked for where a run takes only those from a mark on."""

from __future__ import annotations

import datetime as dt
import struct
from contextlib import closing
from decimal import Decimal

import duckdb
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from loom_common.config.credentials import Credentials
from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.incremental.settings import IncrementalConfig
from loom_common.domain.incremental.window import Point, point_of
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.registry import open_source
from loom_connectors.sql.reading.mark import Compared, MarkColumn, least_value, narrowed
from support.pieces import read_through
from support.sqlite_files import run_sql

BERLIN = IncrementalConfig(column="at", zone="Europe/Berlin")
AT_TEN = Point(kind="time", text="2026-03-01T10:00:00+00:00")


@pytest.mark.parametrize(
    ("start", "compared", "expected"),
    [
        (Point(kind="number", text="7.5"), Compared.WHOLE, "7"),
        (Point(kind="number", text="-7.5"), Compared.WHOLE, "-8"),
        (Point(kind="number", text="1E+30"), Compared.WHOLE, None),
        (Point(kind="number", text="1E+3"), Compared.DECIMAL, "1000"),
        (Point(kind="number", text="1E+999"), Compared.FLOAT, None),
        (Point(kind="number", text="7"), Compared.MOMENT, None),
        (AT_TEN, Compared.WHOLE, None),
        (AT_TEN, Compared.MOMENT, "2026-03-01T10:00:00+00:00"),
        (AT_TEN, Compared.UTC_CLOCK, "2026-03-01 10:00:00"),
        (AT_TEN, Compared.CLOCK, "2026-03-01 11:00:00"),
        (AT_TEN, Compared.DAY, "2026-03-01"),
        (AT_TEN, Compared.DAY_TEXT, "2026-02-28"),
        (Point(kind="time", text="2021-01-03T12:00:00+00:00"), Compared.DAY_TEXT, "2020-12-31"),
        (Point(kind="time", text="0001-01-01T00:00:00+00:00"), Compared.DAY_TEXT, None),
    ],
)
def test_a_bound_is_written_as_the_column_is_compared(start, compared, expected):
    assert least_value(start, compared, BERLIN) == expected


def test_times_without_a_zone_have_no_bound_where_none_is_set():
    assert least_value(AT_TEN, Compared.CLOCK, IncrementalConfig(column="at")) is None


at = dt.datetime.fromisoformat
_MOMENTS = st.datetimes(at("1990-01-01"), at("2040-01-01"))


@given(_MOMENTS, _MOMENTS, st.sampled_from(["Europe/Berlin", "America/New_York", "Pacific/Apia", "Asia/Kolkata"]))
@example(at("2026-03-29T02:30"), at("2026-03-29T03:10"), "Europe/Berlin")
@example(at("2026-10-25T02:10"), at("2026-10-25T02:50"), "Europe/Berlin")
@example(at("2011-12-30T12:00"), at("2011-12-31T02:00"), "Pacific/Apia")
def test_no_time_without_a_zone_that_is_new_is_below_the_bound(one, other, zone):
    config = IncrementalConfig(column="at", zone=zone)
    for clock, mark in ((one, other), (other, one)):
        start = point_of(mark.isoformat(), config)
        if point_of(clock.isoformat(), config).order >= start.order:
            assert clock.isoformat(sep=" ") >= str(least_value(start, Compared.CLOCK, config))
            assert clock.date().isoformat() >= str(least_value(start, Compared.DAY, config))


@given(_MOMENTS, st.timedeltas(dt.timedelta(0), dt.timedelta(days=3)), st.integers(-1439, 1439))
@example(at("2021-01-03"), dt.timedelta(0), 0)
def test_no_text_of_a_new_time_is_below_the_bound(mark, later, minutes):
    start = Point(kind="time", text=mark.replace(tzinfo=dt.UTC).isoformat())
    moment = (mark + later).replace(tzinfo=dt.UTC).astimezone(dt.timezone(dt.timedelta(minutes=minutes)))
    bound = str(least_value(start, Compared.DAY_TEXT, BERLIN))
    week = "{}-W{:02}-{}".format(*moment.isocalendar())
    texts = (moment.isoformat(), moment.isoformat(sep=" "), moment.strftime("%Y%m%dT%H%M%S%z"), f"{week}T00:00+00:00")
    assert all(text >= bound for text in texts)


@given(st.floats(allow_nan=False, allow_infinity=False, width=32))
@example(0.699999988079071)
def test_no_number_of_32_bits_is_below_the_bound_of_its_shortest_text(number):
    shortest = next(text for digits in range(1, 18) if float_of_32(text := f"{number:.{digits}g}") == number)
    bound = least_value(Point(kind="number", text=str(Decimal(shortest))), Compared.FLOAT, BERLIN)
    assert bound is None or number >= float(bound)


def float_of_32(text):
    try:
        return struct.unpack("f", struct.pack("f", float(text)))[0]
    except OverflowError:
        return float("inf")


async def read(folder, place, start, column="at", **extract):
    config = ExtractConfig(source=place, key="id", incremental={"column": column, "zone": "Europe/Berlin"}, **extract)
    source = open_source(config, ConnectorContext(folder, Credentials({}), params={"most": 90}, start=start))
    ids = [record.data["id"] for record in await read_through(source, 2)]
    words = await source.starts_by()
    await source.close()
    return ids, words


@pytest.fixture
def events(tmp_path):
    run_sql(
        tmp_path,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, at TEXT, n NUMERIC, x)",
        "INSERT INTO t VALUES (1, '2026-02-01T08:00:00Z', 1, 1), (2, '2026-03-01T09:00:00Z', 2, '1'), "
        "(3, '2026-03-01T00:30:00-12:00', 3.5, 2), (4, NULL, NULL, NULL), (5, '', 'n/a', ''), "
        "(6, '2026-03-01 12:00', 10, 10), (7, 'n/a', 100, x'00')",
    )
    return tmp_path


async def test_sqlite_leaves_out_texts_of_days_before_the_mark(events):
    assert await read(events, "sqlite:///x.db?table=t", AT_TEN) == ([2, 3, 4, 5, 6, 7], "at >= the mark")


@pytest.mark.parametrize(("column", "ids"), [("n", [3, 4, 5, 6, 7]), ("x", [2, 4, 5, 6, 7])])
async def test_sqlite_compares_numbers_with_numbers(events, column, ids):
    found, words = await read(events, "sqlite:///x.db?table=t", Point(kind="number", text="3.2"), column)
    assert (found, words) == (ids, f"{column} >= the mark")


async def test_sqlite_does_not_compare_texts_with_numbers(events):
    assert (await read(events, "sqlite:///x.db?table=t", Point(kind="number", text="3")))[0] == [1, 2, 3, 4, 5, 6, 7]


async def test_a_query_with_parameters_is_narrowed(events):
    query = "SELECT id, upper(at) AS at FROM t WHERE n < {{ most }} -- all but the last"
    ids, _ = await read(events, "sqlite:///x.db", AT_TEN, query=query)
    assert ids == [2, 3, 6]


async def test_the_pieces_of_a_narrowed_source_are_the_source(events):
    config = ExtractConfig(source="sqlite:///x.db?table=t", key="id", incremental="at")
    source = open_source(config, ConnectorContext(events, Credentials({}), start=AT_TEN))
    ids = []
    for piece in await source.split(3):
        page = await source.read(piece.start, 100, piece.until)
        ids += [record.data["id"] for record in page.records]
    assert ids == [2, 3, 4, 5, 6, 7]


def test_sqlite_can_use_an_index_of_the_column(events):
    run_sql(events, "CREATE INDEX by_at ON t (at)")
    column = MarkColumn('"at"', Compared.DAY_TEXT, lambda marker: marker)
    rows = run_sql(events, f"EXPLAIN QUERY PLAN {narrowed('SELECT * FROM t', column, repr('2026-02-28'))}")
    assert sum("SEARCH t USING INDEX by_at" in row[3] for row in rows) == 3


@pytest.mark.parametrize(
    ("kind", "values", "start", "ids"),
    [
        ("INTEGER", ["1", "5", "9"], Point(kind="number", text="5"), [2, 3, 4]),
        ("DECIMAL(6,2)", ["1.5", "5.25", "9"], Point(kind="number", text="5.25"), [2, 3, 4]),
        ("FLOAT", ["0.1", "0.7", "9"], Point(kind="number", text="0.7"), [2, 3, 4]),
        ("DATE", ["'2026-02-01'", "'2026-03-01'", "'2026-03-02'"], AT_TEN, [2, 3, 4]),
        ("TIMESTAMP", ["'2026-02-01'", "'2026-03-01 11:00:00'", "'2026-03-02'"], AT_TEN, [2, 3, 4]),
        ("TIMESTAMP_NS", ["'2026-02-01'", "'2026-03-01 11:00:00.000000001'", "'2026-03-02'"], AT_TEN, [2, 3, 4]),
        ("TIMESTAMPTZ", ["'2026-02-01'", "'2026-03-01 12:00:00+02'", "'2026-03-02'"], AT_TEN, [2, 3, 4]),
    ],
)
async def test_duckdb_leaves_out_older_rows(tmp_path, kind, values, start, ids):
    with closing(duckdb.connect(tmp_path / "x.duckdb")) as db:
        db.execute("SET TimeZone = 'UTC'")
        db.execute(f'CREATE TABLE t (id INTEGER, "at" {kind})')
        db.execute(f"INSERT INTO t VALUES (1, {values[0]}), (2, {values[1]}), (3, {values[2]}), (4, NULL)")
    assert await read(tmp_path, "duckdb:///x.duckdb?table=t", start) == (ids, "at >= the mark")


async def test_duckdb_does_not_compare_texts(tmp_path):
    with closing(duckdb.connect(tmp_path / "x.duckdb")) as db:
        db.execute("CREATE TABLE t AS SELECT 1 AS id, '2026-02-01' AS \"at\"")
    assert await read(tmp_path, "duckdb:///x.duckdb?table=t", AT_TEN) == ([1], None)
