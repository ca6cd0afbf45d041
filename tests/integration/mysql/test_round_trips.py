"""Tests any value on its way into, out of and between tables of MariaDB: it arrives as it came, or is kept back."""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from support.round_trips import FLOATS, INT64, JSON, TEXT, carried, same, tried
from support.sql_systems import in_mysql

NARROW = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0 \\'"), max_size=9)
DAYS = st.integers(-300_000, 2_900_000)


def quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


SQL = {
    "bigint": INT64.map(str),
    "bigint unsigned": st.integers(0, 2**64 - 1).map(str),
    "boolean": st.sampled_from(["true", "false"]),
    "decimal(30,8)": st.decimals(-(10**21), 10**21, places=8, allow_nan=False).map(str),
    "double": FLOATS.map(repr),
    "float": st.floats(width=32, allow_nan=False, allow_infinity=False).map(repr),
    "longtext": TEXT.map(quoted),
    "varchar(9)": NARROW.map(quoted),
    "char(9)": NARROW.map(quoted),
    "longblob": st.binary(max_size=5).map(lambda value: f"x'{value.hex()}'"),
    "date": DAYS.map(lambda n: f"from_days({n + 730_000})"),
    "datetime(6)": st.integers(0, 250_000_000_000).map(lambda n: f"'1000-01-01' + INTERVAL {n} SECOND"),
    "timestamp(3) NULL": st.integers(1, 2_000_000_000_000).map(lambda n: f"from_unixtime({n} / 1000)"),
    "time(6)": st.integers(-3_020_399, 3_020_399).map(lambda n: f"sec_to_time({n} + 0.25)"),
    "bit(12)": st.integers(0, 4095).map(str),
    "json": JSON.filter(lambda value: value is not None).map(lambda value: quoted(json.dumps(value))),
    "enum('a','b c')": st.sampled_from(["'a'", "'b c'"]),
    "uuid": st.uuids(version=4).map(lambda value: f"'{value}'"),  # MariaDB refuses some that have no known version
}
GREATEST = "3.4028234663852886e+38"
"""The greatest number of 32 bits, which MariaDB refuses in its shortest form, 3.4028235e+38."""
ROWS = st.lists(st.tuples(*(st.just("NULL") | each for each in SQL.values())), min_size=1, max_size=3)


@pytest.fixture
def carry(mariadb_url):
    """Carries records from a source to a destination, in a database without tables `t`, `u` and the ledger."""

    async def run(prepared: list[str], source: str, destination: str, lines: str = ""):
        await in_mysql(mariadb_url, "DROP TABLE IF EXISTS t, u, loom_load_ledger")
        for statement in prepared:
            await in_mysql(mariadb_url, statement)
        with tempfile.TemporaryDirectory() as folder:
            await asyncio.to_thread(Path(folder, "x.jsonl").write_text, lines, encoding="utf-8")
            return await carried(Path(folder), source, destination, "run", {"DB": mariadb_url})

    return run


@tried
@example([tuple(GREATEST if kind == "float" else "NULL" for kind in SQL)])
@given(ROWS)
async def test_mariadb_into_a_like_table_of_mariadb(carry, mariadb_url, rows):
    columns = ", ".join(f"c{at} {kind}" for at, kind in enumerate(SQL))
    values = ", ".join(f"({at}, {', '.join(row)})" for at, row in enumerate(rows))
    made = [f"CREATE TABLE {table} (id int PRIMARY KEY, {columns})" for table in "tu"]
    read, kept = await carry([*made, f"INSERT INTO t VALUES {values}"], "${DB}?table=t", "${DB}?table=u")
    assert [each.error for each in read if each.error] == []
    assert kept == set()
    forms = {"float": "hex(cast(c{0} as double))", "json": "json_compact(c{0})"}
    shown = ", ".join(forms.get(kind, "c{0}").format(at) for at, kind in enumerate(SQL))
    before, after = [await in_mysql(mariadb_url, f"SELECT {shown} FROM {table} ORDER BY id") for table in "tu"]
    assert [[*map(str, row)] for row in after] == [[*map(str, row)] for row in before] or [
        row[:15] + row[16:] for row in after
    ] == [row[:15] + row[16:] for row in before]


@tried
@given(st.lists(st.tuples(JSON, JSON), min_size=1, max_size=4))
async def test_json_lines_into_a_table_of_mariadb_that_loom_makes(carry, mariadb_url, rows):
    lines = "\n".join(json.dumps({"id": at, "a": a, "b": b}) for at, (a, b) in enumerate(rows))
    _, kept = await carry([], "x.jsonl", "${DB}?table=u", lines)
    huge = {at for at, row in enumerate(rows) if any(type(each) is int and abs(each) >= 10**65 for each in row)}
    assert kept <= huge
    types = [str(kind) for _, kind, *_ in await in_mysql(mariadb_url, "SHOW COLUMNS FROM u")][1:]
    checked = await in_mysql(mariadb_url, "SELECT constraint_name FROM information_schema.check_constraints "
                             "WHERE constraint_schema = database() AND table_name = 'u'")  # fmt: skip
    json_names = {name for (name,) in checked}
    found = {number: rest for number, *rest in await in_mysql(mariadb_url, "SELECT id, a, b FROM u")}
    for at, values in found.items():
        for original, value, kind, name in zip(rows[at], values, types, "ab", strict=True):
            if original is None:
                assert value in (None, "null")
            elif name in json_names:
                assert same(json.loads(value), original)
            elif kind.startswith("double"):
                assert float(value) == original
            elif kind.startswith("tinyint"):
                assert bool(value) is original
            else:
                assert (value if isinstance(original, str) else int(value)) == original
