"""Tests any value on its way into, out of and between DuckDB files: it arrives as it came, or its record is kept
back."""

from __future__ import annotations

import json
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
from hypothesis import example, given
from hypothesis import strategies as st

from loom_connectors.values import json_text
from support.round_trips import FLOATS, JSON, TEXT, carried, same, tried

INT128 = st.integers(-(2**127) + 1, 2**127 - 1)


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def literal(kind: str, texts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return texts.map(lambda text: f"{quoted(text)}::{kind}")


def parts(kind: str, items: st.SearchStrategy[str], size: int | None = None) -> st.SearchStrategy[str]:
    lists = st.lists(st.just(f"NULL::{kind}") | items, min_size=size or 0, max_size=size or 3)
    return lists.map(lambda each: f"[{', '.join(each)}]::{kind}[{size or ''}]")


FIELD = st.integers(-100_000, 100_000)
DECIMALS = literal("DECIMAL(20,5)", st.decimals(-(10**14), 10**14, places=5, allow_nan=False).map(str))
TEXTS = literal("VARCHAR", TEXT)
DATES = st.integers(-2_400_000, 100_000_000).map(lambda days: f"DATE '2000-01-01' + {days}")
MICROSECONDS = st.integers(-100_000_000_000_000_000, 200_000_000_000_000_000)
TIMESTAMPS = MICROSECONDS.map(lambda n: f"make_timestamp({n})")
MOMENTS = MICROSECONDS.map(lambda n: f"(make_timestamp({n}) AT TIME ZONE 'UTC')")
BLOBS = st.binary(max_size=5).map(lambda value: f"unhex('{value.hex()}')")
DOUBLES = literal("DOUBLE", FLOATS.map(repr) | st.sampled_from(["nan", "inf", "-inf"]))
INTERVALS = st.tuples(FIELD, FIELD, FIELD).map(
    lambda each: f"to_months({each[0]}) + to_days({each[1]}) + to_microseconds({each[2]})"
)
JSONS = literal("JSON", JSON.filter(lambda value: value is not None).map(json_text))
"""Holds JSON without its `null`, which is read as that of SQL."""
SQL = {
    "BOOLEAN": st.sampled_from(["true", "false"]),
    "HUGEINT": literal("HUGEINT", INT128.map(str)),
    "UBIGINT": literal("UBIGINT", st.integers(0, 2**64 - 1).map(str)),
    "BIGNUM": literal("BIGNUM", st.integers().map(str)),
    "DECIMAL(20,5)": DECIMALS,
    "DOUBLE": DOUBLES,
    "FLOAT": literal("FLOAT", st.floats(width=32, allow_nan=False).map(repr)),
    "VARCHAR": TEXTS,
    "BLOB": BLOBS,
    "DATE": DATES | st.sampled_from(["DATE 'infinity'", "DATE '-infinity'"]),
    "TIMESTAMP": TIMESTAMPS | st.just("TIMESTAMP 'infinity'"),
    "TIMESTAMP_NS": st.integers(0, 10**18).map(lambda n: f"make_timestamp_ns({n})"),
    "TIMESTAMPTZ": MOMENTS | st.just("TIMESTAMPTZ '-infinity'"),
    "TIME": st.integers(0, 86_399_999_999).map(lambda n: f"TIME '00:00' + to_microseconds({n})"),
    "INTERVAL": INTERVALS,
    "BIT": literal("BIT", st.text("01", min_size=1, max_size=9)),
    "UUID": literal("UUID", st.uuids().map(str)),
    "JSON": JSONS,
    "HUGEINT[]": parts("HUGEINT", literal("HUGEINT", INT128.map(str))),
    "DECIMAL(20,5)[3]": parts("DECIMAL(20,5)", DECIMALS, 3),
    "VARCHAR[]": parts("VARCHAR", TEXTS),
    "BLOB[]": parts("BLOB", BLOBS),
    "INTERVAL[]": parts("INTERVAL", INTERVALS),
    "JSON[]": parts("JSON", JSONS),
    'STRUCT(a TIMESTAMPTZ, "b c" VARCHAR[], d DOUBLE)': st.tuples(MOMENTS, parts("VARCHAR", TEXTS), DOUBLES).map(
        lambda each: f"{{'a': {each[0]}, 'b c': {each[1]}, 'd': {each[2]}}}"
    ),
    "MAP(VARCHAR, DECIMAL(20,5))": st.dictionaries(TEXT, DECIMALS, max_size=2).map(
        lambda each: f"MAP {{{', '.join(f'{quoted(name)}: {value}' for name, value in each.items())}}}"
    ),
    "MAP(DATE, BLOB)": st.dictionaries(DATES, BLOBS, max_size=1).map(
        lambda each: f"MAP {{{', '.join(f'{name}: {value}' for name, value in each.items())}}}"
    ),
}
ROWS = st.lists(st.tuples(*(st.just("NULL") | each for each in SQL.values())), min_size=1, max_size=3)


def folder() -> Any:
    return tempfile.TemporaryDirectory(prefix="loom-round-trip-")


@tried
@given(ROWS)
async def test_duckdb_into_a_like_table_of_duckdb(rows):
    """Check that the copy is the row as DuckDB shows it, whatever its types."""
    with folder() as name:
        place = Path(name)
        columns = ", ".join(f"c{at} {kind}" for at, kind in enumerate(SQL))
        values = ", ".join(
            f"({at}, {', '.join(f'CAST({each} AS {kind})' for each, kind in zip(row, SQL, strict=True))})"
            for at, row in enumerate(rows)
        )
        with closing(duckdb.connect(place / "x.duckdb")) as db:
            db.execute("SET TimeZone = 'UTC'")
            for table in "tu":
                db.execute(f"CREATE TABLE {table} (id INTEGER, {columns})")
            db.execute(f"INSERT INTO t VALUES {values}")
        read, kept = await carried(place, "duckdb:///x.duckdb?table=t", "duckdb:///x.duckdb?table=u", "run")
        with closing(duckdb.connect(place / "x.duckdb")) as db:
            shown = ", ".join(["id", *(f"c{at}::VARCHAR" for at in range(len(SQL)))])
            before, after = (db.execute(f"SELECT {shown} FROM {table} ORDER BY id").fetchall() for table in "tu")
        assert [each.error for each in read if each.error] == []
        assert (after, kept) == (before, set())


@tried
@example([(10**50, 0.5), (1, 1)])
@given(st.lists(st.tuples(JSON, JSON), min_size=1, max_size=4))
async def test_json_lines_into_a_table_of_duckdb_that_loom_makes(rows):
    with folder() as name:
        place = Path(name)
        lines = [json.dumps({"id": at, "a": a, "b": b}) for at, (a, b) in enumerate(rows)]
        (place / "x.jsonl").write_text("\n".join(lines), encoding="utf-8")
        _, kept = await carried(place, "x.jsonl", "duckdb://x.duckdb?table=u", "run")
        assert not kept
        with closing(duckdb.connect(place / "x.duckdb")) as db:
            found = db.execute("SELECT a::VARCHAR, b::VARCHAR FROM u ORDER BY id").fetchall()
            types = [kind for _, kind, *_ in db.execute("DESCRIBE u").fetchall()][1:]
        for row, stored in zip(rows, found, strict=True):
            for original, value, kind in zip(row, stored, types, strict=True):
                if original is None:
                    assert value in (None, "null")
                elif kind == "JSON":
                    assert same(json.loads(value), original)
                elif kind == "VARCHAR":
                    assert value == original
                elif kind == "DOUBLE":
                    assert float(value) == original
                else:
                    assert value == json.dumps(original)
