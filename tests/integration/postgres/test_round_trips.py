"""Tests any value on its way into, out of and between tables of Postgres: it arrives as it came, or is kept back."""

from __future__ import annotations

import csv
import json
import sqlite3
import struct
import tempfile
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from support.round_trips import FLOATS, INT64, JSON, TEXT, carried, same, tried

NUMERIC = st.decimals(allow_nan=False, allow_infinity=False).map(lambda value: f"{value:f}"[:300])
DAYS = st.integers(-2_400_000, 100_000_000).map(lambda days: f"'2000-01-01'::date + {days}")
MICROSECONDS = st.integers(-210_000_000_000_000_000, 210_000_000_000_000_000)
FIELD = st.integers(-100_000, 100_000)
INTERVALS = st.tuples(FIELD, FIELD, FIELD).map(
    lambda each: f"make_interval(months => {each[0]}, days => {each[1]}) + {each[2]} * interval '1 us'"
)


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def literal(kind: str, texts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return texts.map(lambda text: f"{quoted(text)}::{kind}")


def array(kind: str, items: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    lists = st.lists(st.none() | items, max_size=3)
    return lists.map(lambda each: f"ARRAY[{', '.join('NULL' if x is None else x for x in each)}]::{kind}[]")


def json_of(value: Any) -> str:
    return json.dumps(value).replace("\\u0000", "")


TEXTS = literal("text", TEXT)
JSONB = literal("jsonb", JSON.map(json_of))
SQL = {
    "boolean": st.sampled_from(["true", "false"]),
    "bigint": literal("bigint", INT64.map(str)),
    "double precision": literal("float8", (FLOATS.map(repr) | st.sampled_from(["NaN", "Infinity", "-Infinity"]))),
    "real": literal("real", st.floats(width=32, allow_nan=False, allow_infinity=False).map(repr)),
    "numeric": literal("numeric", NUMERIC | st.just("NaN")),
    "text": TEXTS,
    "char(14)": literal("char(14)", TEXT),
    "bytea": st.binary(max_size=5).map(lambda value: f"'\\x{value.hex()}'::bytea"),
    "date": DAYS | st.sampled_from(["'infinity'::date", "'-infinity'::date"]),
    "timestamp": MICROSECONDS.map(lambda n: f"'2000-01-01'::timestamp + {n} * interval '1 us'"),
    "timestamptz": MICROSECONDS.map(lambda n: f"'2000-01-01'::timestamptz + {n} * interval '1 us'"),
    "time": st.integers(0, 86_400_000_000).map(lambda n: f"'24:00'::time - {n} * interval '1 us'"),
    "interval": INTERVALS,
    "varbit": literal("varbit", st.text("01", max_size=9)),
    "int8range": st.tuples(INT64, INT64).map(lambda each: f"int8range({min(each)}, {max(each)})"),
    "inet": st.integers(0, 2**32 - 1).map(lambda n: f"'0.0.0.0'::inet + {n}"),
    "uuid": st.uuids().map(lambda each: f"'{each}'::uuid"),
    "jsonb": JSONB,
    "json": literal("json", JSON.map(json_of)),
    "bigint[]": array("bigint", INT64.map(str)),
    "text[]": array("text", TEXTS),
    "numeric[]": array("numeric", literal("numeric", NUMERIC)),
    "timestamptz[]": array("timestamptz", DAYS.map(lambda day: f"({day})::timestamptz")),
    "bytea[]": array("bytea", st.binary(max_size=3).map(lambda value: f"'\\x{value.hex()}'::bytea")),
    "jsonb[]": array("jsonb", JSONB),
    "interval[]": array("interval", INTERVALS),
    "pair": st.tuples(INT64, TEXTS).map(lambda each: f"ROW({each[0]}, {each[1]})::pair"),
    "pair[]": array("pair", st.tuples(INT64, TEXTS).map(lambda each: f"ROW({each[0]}, {each[1]})::pair")),
}
ROWS = st.lists(st.tuples(*(st.just("NULL") | each for each in SQL.values())), min_size=1, max_size=3)


class Database:
    """Holds a connection of the test's own, and a folder for what is beside the database."""

    def __init__(self, url: str, sql: asyncpg.Connection, folder: Path) -> None:
        self.url, self.sql, self.folder = url, sql, folder
        self.runs = 0

    async def carry(self, source: str, destination: str, **extract: Any) -> tuple[list[Any], set[int]]:
        self.runs += 1
        return await carried(self.folder, source, destination, f"run_{self.runs}", {"DB": self.url}, **extract)

    async def fill(self, rows: list[tuple[str, ...]]) -> None:
        """Make the tables `t` with these rows, and `u` like it."""
        columns = ", ".join(f"c{at} {kind}" for at, kind in enumerate(SQL))
        values = ", ".join(f"({at}, {', '.join(row)})" for at, row in enumerate(rows))
        await self.sql.execute(
            f"DROP TABLE IF EXISTS t, u, loom_load_ledger; CREATE TABLE t (id int, {columns}); "
            f"CREATE TABLE u (LIKE t); INSERT INTO t VALUES {values}"
        )

    async def texts(self, table: str) -> dict[int, list[str | None]]:
        """Return every row in Postgres's own words, by id."""
        columns = ", ".join(f"c{at}::text" for at in range(len(SQL)))
        return {row[0]: list(row)[1:] for row in await self.sql.fetch(f"SELECT id, {columns} FROM {table}")}


@pytest.fixture
async def database(postgres_url):
    connection = await asyncpg.connect(postgres_url)
    await connection.execute("CREATE TYPE pair AS (n bigint, t text)")
    with tempfile.TemporaryDirectory(prefix="loom-round-trip-") as folder:
        yield Database(postgres_url, connection, Path(folder))
    await connection.close()


def alike(value: Any, original: Any) -> bool:
    """Equal, numbers by their decimal digits: `jsonb` keeps 7e+16 as 70000000000000000."""
    if isinstance(original, dict):
        return value.keys() == original.keys() and all(alike(value[name], original[name]) for name in original)
    if isinstance(original, list):
        return len(value) == len(original) and all(map(alike, value, original))
    if isinstance(original, int | float) and not isinstance(original, bool):
        return Decimal(repr(value)) == Decimal(repr(original))
    return bool(value == original)


@tried
@given(ROWS)
async def test_postgres_into_a_like_table_of_postgres(database, rows):
    await database.fill(rows)
    records, kept = await database.carry("${DB}?table=t", "${DB}?table=u", key="id")
    before, after = await database.texts("t"), await database.texts("u")
    for at, record in enumerate(records):
        if at in kept:
            assert record.error is not None
            assert record.error.code in ("inexact_number", "duplicate_name")
            continue
        for kind, old, new in zip(SQL, before[at], after[at], strict=True):
            # JSON's null is null, like SQL's; spaces between the members of `json` mean nothing
            if kind in ("json", "jsonb"):
                assert json.loads(old or "null") == json.loads(new or "null")
            else:
                assert (kind, new) == (kind, old)


@tried
@given(ROWS)
async def test_postgres_into_sqlite_and_json_lines(database, rows):
    await database.fill(rows)
    (database.folder / "x.db").unlink(missing_ok=True)
    records, kept = await database.carry("${DB}?table=t", "x.jsonl", key="id")
    usable = [record.data for at, record in enumerate(records) if at not in kept]
    lines = (database.folder / "x.jsonl").read_text("utf-8").split("\n")[:-1] if usable else []
    assert len(lines) == len(usable)
    for line, data in zip(lines, usable, strict=True):
        assert same(json.loads(line), data)
    _, also_kept = await database.carry("${DB}?table=t", "sqlite:///x.db?table=u", key="id")
    assert also_kept == kept
    if not usable:
        return
    with closing(sqlite3.connect(database.folder / "x.db")) as db:
        types = dict(db.execute("SELECT name, type FROM pragma_table_info('u')").fetchall())
        found = db.execute("SELECT * FROM u").fetchall()
    for row, data in zip(found, usable, strict=True):
        for (name, declared), value in zip(types.items(), row, strict=True):
            original = data[name]
            if value is not None and (declared == "JSON TEXT" or isinstance(original, dict | list)):
                assert same(json.loads(value), original)
            elif declared == "TEXT" and isinstance(original, int | float):
                assert same(type(original)(value), original)
            else:
                assert value == original
    for each in database.folder.glob("x.db*"):
        each.unlink()


@tried
@given(st.lists(st.tuples(JSON, JSON), min_size=1, max_size=4))
async def test_json_lines_into_a_table_of_postgres_that_loom_makes(database, rows):
    await database.sql.execute("DROP TABLE IF EXISTS u, loom_load_ledger")
    text = "\n".join(json.dumps({"id": at, "a": a, "b": b}) for at, (a, b) in enumerate(rows))
    (database.folder / "x.jsonl").write_text(text, encoding="utf-8")
    _, kept = await database.carry("x.jsonl", "${DB}?table=u")
    types = {
        row["attname"]: row["typname"]
        for row in await database.sql.fetch(
            "SELECT attname, typname FROM pg_attribute a JOIN pg_type t ON t.oid = atttypid "
            "WHERE attrelid = 'u'::regclass AND attnum > 0"
        )
    }
    found = {row["id"]: row for row in await database.sql.fetch("SELECT id, a::text, b::text FROM u")}
    assert not kept
    for at, (a, b) in enumerate(rows):
        for name, original in (("a", a), ("b", b)):
            value, kind = found[at][name], types[name]
            if original is None:
                assert value is None
            elif kind == "jsonb":
                assert alike(json.loads(value), original)
            elif kind == "float8":
                assert float(value) == original
            elif kind in ("int8", "numeric"):
                assert same(int(value), original)
            elif kind == "bool":
                assert value == ("true" if original else "false")
            else:
                assert (kind, value) == ("text", original)


@tried
@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=4))
async def test_csv_into_a_table_of_postgres_that_loom_makes(database, rows):
    await database.sql.execute("DROP TABLE IF EXISTS u, loom_load_ledger")
    with (database.folder / "x.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows([("a", "b"), *rows])
    _, kept = await database.carry("x.csv", "${DB}?table=u", options={"delimiter": ","})
    assert not kept
    assert sorted(map(tuple, await database.sql.fetch("SELECT a, b FROM u"))) == sorted(rows)


NUMBERS = st.integers() | FLOATS | st.from_regex(r"-?[0-9]{1,20}(\.[0-9]{0,20})?", fullmatch=True)


@tried
@example([7.103231990492009e16])
@example([2.450595846589921e16])
@given(st.lists(NUMBERS, min_size=1, max_size=4))
async def test_a_number_is_exact_in_every_column_of_postgres_or_refused(database, numbers):
    text = "\n".join(json.dumps({"id": at, "n": n}) for at, n in enumerate(numbers))
    (database.folder / "x.jsonl").write_text(text, encoding="utf-8")
    for kind in ("bigint", "double precision", "real", "numeric", "numeric(12,3)"):
        await database.sql.execute(f"DROP TABLE IF EXISTS u, loom_load_ledger; CREATE TABLE u (id int, n {kind})")
        _, kept = await database.carry("x.jsonl", "${DB}?table=u")
        found = dict(await database.sql.fetch("SELECT id, n::text FROM u"))
        assert kept == set(range(len(numbers))) - found.keys()
        for at, value in found.items():
            assert await database.sql.fetchval(
                "SELECT $1::text::numeric = $2::text::numeric", value, str(numbers[at])
            ) or (
                # The same number of a binary type may be written with other digits by its server.
                (kind == "real" and single(float(value)) == single(float(numbers[at])))
                or (kind == "double precision" and float(value) == float(numbers[at]))
            )


def single(value: float) -> float:
    return float(struct.unpack("f", struct.pack("f", value))[0])


DYNAMIC = st.none() | INT64 | FLOATS | TEXT | st.binary(max_size=5)


@tried
@given(st.lists(st.tuples(DYNAMIC, INT64, FLOATS, TEXT, st.binary(max_size=5)), min_size=1, max_size=4))
async def test_sqlite_into_a_table_of_postgres(database, rows):
    """One that Loom makes holds values of several kinds as JSON; typed columns hold the values themselves."""
    await database.sql.execute(
        "DROP TABLE IF EXISTS u, loom_load_ledger; CREATE TABLE u (k int, a jsonb, n bigint, x float8, t text, b bytea)"
    )
    with closing(sqlite3.connect(database.folder / "y.db")) as db, db:
        db.execute("DROP TABLE IF EXISTS t")
        db.execute("CREATE TABLE t (k, a, n, x, t, b)")
        db.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?)", [(at, *row) for at, row in enumerate(rows)])
    _, kept = await database.carry("sqlite:///y.db?table=t", "${DB}?table=u")
    assert not kept
    found = await database.sql.fetch("SELECT k, a::text, n, x, t, b FROM u ORDER BY k")
    for row, (_, a, *typed) in zip(rows, found, strict=True):
        expected = {"$bytes": row[0].hex()} if isinstance(row[0], bytes) else row[0]
        assert alike(json.loads(a or "null"), expected)
        assert typed == list(row[1:])
