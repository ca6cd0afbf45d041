"""Tests any value on its way between files and SQLite: it arrives as it came, or its record is kept back."""

from __future__ import annotations

import csv
import itertools
import json
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from support.round_trips import FLOATS, INT64, JSON, SCALARS, TEXT, carried, same, tried

NUMBER = itertools.count()


def folder() -> Any:
    return tempfile.TemporaryDirectory(prefix="loom-round-trip-")


def stored(place: Path, table: str = "u") -> tuple[dict[str, str], list[tuple[Any, ...]]]:
    """Return declared types and rows of a table."""
    with closing(sqlite3.connect(place / "x.db")) as db:
        types = dict(db.execute("SELECT name, type FROM pragma_table_info(?)", (table,)).fetchall())
        return types, db.execute(f"SELECT * FROM {table} ORDER BY rowid").fetchall()


def meant(declared: str, value: Any, original: Any) -> Any:
    """Return the JSON value that a stored value says, by what its column is declared as."""
    if value is None:
        return None
    if declared == "JSON TEXT":
        return json.loads(value)
    if declared == "BOOLEAN":
        return bool(value)
    if declared == "TEXT" and isinstance(original, dict | list):
        return json.loads(value)
    return int(value) if declared == "TEXT" and isinstance(original, int) else value


@tried
@given(st.lists(st.lists(JSON, min_size=3, max_size=3), min_size=1, max_size=4))
async def test_json_lines_into_a_table_of_sqlite_that_loom_makes(rows):
    with folder() as name:
        place = Path(name)
        lines = [json.dumps(dict(zip("abc", row, strict=True)), ensure_ascii=False) for row in rows]
        (place / "x.jsonl").write_text("\n".join(lines), encoding="utf-8")
        _, kept = await carried(place, "x.jsonl", "sqlite:///x.db?table=u", "run")
        assert not kept
        types, found = stored(place)
        for row, values in zip(rows, found, strict=True):
            for declared, value, original in zip(types.values(), values, row, strict=True):
                said = meant(declared, value, original)
                if declared == "REAL" and isinstance(original, int):
                    assert said == original
                else:
                    assert same(said, original), (declared, value, original)


@tried
@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=5))
async def test_csv_into_a_table_of_sqlite_that_loom_makes(rows):
    with folder() as name:
        place = Path(name)
        with (place / "x.csv").open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows([("a", "b"), *rows])
        _, kept = await carried(place, "x.csv", "sqlite:///x.db?table=u", "run", options={"delimiter": ","})
        assert not kept
        assert stored(place)[1] == rows


AFFINITIES = (
    "",
    "BLOB",
    "TEXT",
    "INTEGER",
    "REAL",
    "NUMERIC",
    "BOOLEAN",
    "DECIMAL(10,2)",
    "VARCHAR(5)",
    "DATE",
    "JSON",
)
DIGITS = st.from_regex(r"[ +-]?[0-9]{1,25}(\.[0-9]{0,20})?(e[0-9]{1,3})?", fullmatch=True)
STORED = st.none() | INT64 | st.floats(allow_nan=False) | TEXT | DIGITS | st.just("a\0b") | st.binary(max_size=5)


@tried
@given(st.lists(st.lists(STORED, min_size=len(AFFINITIES), max_size=len(AFFINITIES)), min_size=1, max_size=4))
async def test_sqlite_into_a_like_table_of_sqlite(rows):
    """Check that the copy has the same storage class and value that SQLite made of a value when it was stored."""
    with folder() as name:
        place = Path(name)
        columns = ", ".join(f"c{at} {declared}" for at, declared in enumerate(AFFINITIES))
        with closing(sqlite3.connect(place / "x.db")) as db, db:
            for table in "tu":
                db.execute(f"CREATE TABLE {table} ({columns})")
            marks = ", ".join("?" * len(AFFINITIES))
            db.executemany(f"INSERT INTO t VALUES ({marks})", rows)
        before = stored(place, "t")[1]
        _, kept = await carried(place, "sqlite:///x.db?table=t", "sqlite:///x.db?table=u", "run")
        after = iter(stored(place)[1])
        for at, row in enumerate(before):
            infinite = any(isinstance(value, float) and abs(value) == float("inf") for value in row)
            assert (at in kept) == infinite, row
            if not infinite:
                assert same(list(next(after)), list(row))


CELL = st.none() | INT64 | FLOATS | TEXT | st.binary(max_size=5)


@tried
@given(st.lists(st.tuples(CELL, CELL), min_size=1, max_size=5))
async def test_sqlite_into_json_lines_and_csv(rows):
    with folder() as name:
        place = Path(name)
        with closing(sqlite3.connect(place / "x.db")) as db, db:
            db.execute("CREATE TABLE t (a, b)")
            db.executemany("INSERT INTO t VALUES (?, ?)", rows)
        _, kept = await carried(place, "sqlite:///x.db?table=t", "x.jsonl", "run")
        assert not kept
        for line, row in zip((place / "x.jsonl").read_text("utf-8").split("\n"), rows, strict=False):
            expected = [{"$bytes": value.hex()} if isinstance(value, bytes) else value for value in row]
            assert same(list(json.loads(line).values()), expected)
        _, kept = await carried(place, "sqlite:///x.db?table=t", "x.csv", "run")
        assert not kept
        with (place / "x.csv").open(newline="", encoding="utf-8") as stream:
            cells = list(csv.reader(stream))[1:]
        for found, row in zip(cells, rows, strict=True):
            for cell, value in zip(found, row, strict=True):
                match value:
                    case None:
                        assert cell == ""
                    case str():
                        assert cell == value
                    case bytes():
                        assert json.loads(cell) == {"$bytes": value.hex()}
                    case _:
                        assert same(type(value)(cell), value)


@tried
@given(st.lists(st.tuples(SCALARS, SCALARS), min_size=1, max_size=5))
async def test_json_lines_into_any_table_of_sqlite(rows):
    """What a column of the user's would change is refused; the rest is there, and means the same number or text."""
    with folder() as name:
        place = Path(name)
        (place / "x.jsonl").write_text("\n".join(json.dumps({"a": a, "b": b}) for a, b in rows), encoding="utf-8")
        with closing(sqlite3.connect(place / "x.db")) as db, db:
            db.execute("CREATE TABLE u (a REAL, b INTEGER)")
        _, kept = await carried(place, "x.jsonl", "sqlite:///x.db?table=u", "run")
        found = iter(stored(place)[1])
        for at, row in enumerate(rows):
            if at in kept:
                continue
            for value, original in zip(next(found), row, strict=True):
                assert value == original or float(value) == float(original)
