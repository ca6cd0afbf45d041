"""Tests that every type of Postgres arrives as it came: in its own text form, or as a value that says the same."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import asyncpg
import pytest

from support.load_batches import batch
from support.pieces import read_through

TYPES = [
    # column type, value as SQL, what a record holds
    ("boolean", "true", True),
    ("smallint", "'-32768'", -32768),
    ("integer", "2147483647", 2147483647),
    ("bigint", "9223372036854775807", 9223372036854775807),
    ("oid", "4294967295", 4294967295),
    ("real", "0.1", 0.1),
    ("real", "'1e-40'", 1e-40),
    ("real", "'NaN'", "NaN"),
    ("double precision", "1.0/3::float8", 1 / 3),
    ("double precision", "'-0'", -0.0),
    ("double precision", "'5e-324'", 5e-324),
    ("double precision", "'NaN'", "NaN"),
    ("double precision", "'-Infinity'", "-Infinity"),
    ("numeric", "12.50", "12.50"),
    ("numeric", "123456789012345678901234567890.123456789012345678901234567890",
     "123456789012345678901234567890.123456789012345678901234567890"),
    ("numeric", "'NaN'", "NaN"),
    ("numeric", "1e-20::numeric", "0.00000000000000000001"),
    ("numeric(10,3)", "1.5", "1.500"),
    ("money", "'1234.50'", None),
    ("text", "E'tab\\t nl\\n \\\\ \\\\N é 🧵'", "tab\t nl\n \\ \\N é 🧵"),
    ("text", "''", ""),
    ("varchar(5)", "'ab '", "ab "),
    ("char(5)", "'ab'", "ab   "),
    ("name", "'n'", "n"),
    ('"char"', "'x'", "x"),
    ("bytea", "'\\x00ff'", "\\x00ff"),
    ("bytea", "''", "\\x"),
    ("date", "'2024-02-29'", "2024-02-29"),
    ("date", "'infinity'", "infinity"),
    ("date", "'-infinity'", "-infinity"),
    ("date", "'0044-03-15 BC'", "0044-03-15 BC"),
    ("date", "'12345-06-07'", "12345-06-07"),
    ("time", "'24:00'", "24:00:00"),
    ("time", "'12:00:00.000001'", "12:00:00.000001"),
    ("timetz", "'24:00+05:30'", "24:00:00+05:30"),
    ("timestamp", "'2024-02-29 12:00:00.5'", "2024-02-29T12:00:00.5"),
    ("timestamp", "'infinity'", "infinity"),
    ("timestamp", "'0044-03-15 12:00 BC'", "0044-03-15T12:00:00 BC"),
    ("timestamp", "'294276-12-31 23:59:59.999999'", "294276-12-31T23:59:59.999999"),
    ("timestamptz", "'2024-02-29 12:00+02'", "2024-02-29T10:00:00+00:00"),
    ("timestamptz", "'infinity'", "infinity"),
    ("timestamptz", "'-infinity'", "-infinity"),
    ("timestamptz", "'0044-03-15 12:00:00+00 BC'", "0044-03-15T12:00:00+00:00 BC"),
    ("timestamptz", "'12345-06-07 01:02:03.000004+00'", "12345-06-07T01:02:03.000004+00:00"),
    ("interval", "'1 year 2 mons 3 days 04:05:06.789012'", "P1Y2M3DT4H5M6.789012S"),
    ("interval", "'-1 mons +30 days -00:00:00.000001'", None),
    ("interval", "'1 mon'", "P1M"),
    ("interval", "'30 days'", "P30D"),
    ("interval", "'0'", "PT0S"),
    ("bit(5)", "B'10110'", "10110"),
    ("varbit", "B'101'", "101"),
    ("uuid", "'A0EEBC99-9c0b-4ef8-bb6d-6bb9bd380a11'", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    ("inet", "'10.0.0.1/8'", "10.0.0.1/8"),
    ("inet", "'::1'", "::1"),
    ("cidr", "'10.0.0.0/8'", "10.0.0.0/8"),
    ("macaddr", "'08:00:2b:01:02:03'", "08:00:2b:01:02:03"),
    ("xml", "'<a b=\"1\">x</a>'", '<a b="1">x</a>'),
    ("tsvector", "'a:1 b:2A'", "'a':1 'b':2A"),
    ("tsquery", "'a & b'", "'a' & 'b'"),
    ("point", "'(0.1,-2)'", "(0.1,-2)"),
    ("line", "'{1,2,3}'", "{1,2,3}"),
    ("box", "'(2,2),(1,1)'", "(2,2),(1,1)"),
    ("polygon", "'((0,0),(1,1))'", "((0,0),(1,1))"),
    ("circle", "'<(0,0),1.5>'", "<(0,0),1.5>"),
    ("int4range", "'[1,5)'", "[1,5)"),
    ("int4range", "'empty'", "empty"),
    ("numrange", "'(,1.50]'", "(,1.50]"),
    ("daterange", "'[2024-01-01,infinity)'", "[2024-01-01,infinity)"),
    ("int4multirange", "'{[1,2),[5,9)}'", "{[1,2),[5,9)}"),
    ("pg_lsn", "'16/B374D848'", "16/B374D848"),
    ("mood", "'happy'", "happy"),
    ("pair", "ROW(1, 'a \"b\", c')", '(1,"a ""b"", c")'),
    ("pair", "ROW(NULL, '')", '(,"")'),
    ("amount", "7", "7"),
    ("json", "'{\"b\": 1, \"a\": [12345678901234567890123, 1.5, null]}'",
     {"b": 1, "a": [12345678901234567890123, 1.5, None]}),
    ("jsonb", "'{\"a\": 12345678901234567890123}'", {"a": 12345678901234567890123}),
    ("jsonb", "'\"text\"'", "text"),
    ("jsonb", "'[1.10]'", [1.1]),
    ("integer[]", "'{1,NULL,3}'", [1, None, 3]),
    ("integer[]", "'{}'", []),
    ("integer[]", "'{{1,2},{3,4}}'", [[1, 2], [3, 4]]),
    ("integer[]", "'[0:1]={7,8}'", "[0:1]={7,8}"),
    ("text[]", "ARRAY['a,b', '', NULL, 'NULL', 'q\"\\', '{}', ' s ']", ["a,b", "", None, "NULL", 'q"\\', "{}", " s "]),
    ("boolean[]", "'{t,f}'", [True, False]),
    ("float8[]", "'{0.1,NaN}'", [0.1, "NaN"]),
    ("real[]", "'{0.1}'", [0.1]),
    ("numeric[]", "'{1.50}'", ["1.50"]),
    ("date[]", "'{infinity,2024-02-29}'", ["infinity", "2024-02-29"]),
    ("bytea[]", "ARRAY['\\x00'::bytea]", ["\\x00"]),
    ("jsonb[]", "ARRAY['{\"a\": 1}'::jsonb, '\"x\"', '1']", [{"a": 1}, "x", 1]),
    ("box[]", "ARRAY['(2,2),(1,1)'::box,'(4,4),(3,3)']", ["(2,2),(1,1)", "(4,4),(3,3)"]),
    ("interval[]", "ARRAY['1 mon'::interval]", ["P1M"]),
    ("int4range[]", "ARRAY['[1,2)'::int4range]", ["[1,2)"]),
    ("pair[]", "ARRAY[ROW(1,'x')::pair]", ["(1,x)"]),
    ("mood[]", "'{happy,sad}'", ["happy", "sad"]),
    ("amount[]", "ARRAY[1,2]::amount[]", None),
    ("timestamptz[]", "ARRAY['2024-02-29 12:00+02'::timestamptz]", None),
    ("int2vector", "'1 2 3'", "1 2 3"),
]  # fmt: skip
MADE = (
    "CREATE TYPE mood AS ENUM ('happy', 'sad')",
    "CREATE TYPE pair AS (n integer, t text)",
    "CREATE DOMAIN amount AS numeric CHECK (VALUE > 0)",
)


async def test_every_type_arrives_as_it_came(sql, reading, loading):
    columns = ", ".join(f"c{at} {kind}" for at, (kind, _, _) in enumerate(TYPES))
    values = ", ".join(f"({value})::{kind}" for kind, value, _ in TYPES)
    await sql(
        *MADE, f"CREATE TABLE t (id int, {columns})", f"INSERT INTO t VALUES (1, {values})", "CREATE TABLE u (LIKE t)"
    )
    for key in (None, "id"):
        async with reading("t", key=key) as source:
            (record,) = await read_through(source, 3)
        assert record.error is None
        for at, (kind, value, expected) in enumerate(TYPES):
            if expected is not None:
                assert (kind, value, record.data[f"c{at}"]) == (kind, value, expected)
    wire = json.loads(json.dumps(record.data))
    async with loading("u") as destination:
        assert (await destination.load(batch(wire))).failed == ()
    for at, (kind, value, _) in enumerate(TYPES):
        ((before,),) = await sql(f"SELECT c{at}::text FROM t")
        ((after,),) = await sql(f"SELECT c{at}::text FROM u")
        if kind in ("json", "jsonb"):  # spaces between members, and zeros at the end of a number, mean nothing
            before, after = json.loads(before), json.loads(after)
        assert (kind, value, after) == (kind, value, before)


KEYS = [kind for kind in dict.fromkeys(kind for kind, _, _ in TYPES) if kind not in (
    "json", "xml", "point", "line", "box", "polygon", "circle", "box[]", "int2vector"
)]  # fmt: skip


async def test_a_key_of_every_type_orders_pages_of_one(sql, reading):
    await sql(*MADE)
    for number, kind in enumerate(KEYS):
        values = [value for each, value, _ in TYPES if each == kind]
        rows = ", ".join(f"(({value})::{kind})" for value in [*values, *values, "NULL"])
        await sql(f"CREATE TABLE k{number} (k {kind})", f"INSERT INTO k{number} VALUES {rows}")
        async with reading(f"k{number}", key="k") as source:
            records = await read_through(source, 1)
        assert (kind, len(records)) == (kind, 2 * len(values) + 1)
        assert len({record.position for record in records}) == len(records)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("numeric", ["1", "1.0", "1.00", "2"]),
        ("interval", ["'1 mon'", "'30 days'", "'720 hours'", "'2 mons'"]),
        ("double precision", ["'NaN'", "'NaN'", "0", "'-0'"]),
        ("jsonb", ["'1.0'", "'1.00'", "'2'", "'1'"]),
        ("numeric[]", ["'{1.0}'", "'{1.00}'", "'{2}'", "'{1}'"]),
        ("char(5)", ["'a'", "'a '", "'b'", "'A'"]),
    ],
)
async def test_rows_whose_keys_are_equal_but_not_written_alike_are_each_read_once(sql, reading, kind, values):
    rows = ", ".join(f"({at}, ({value})::{kind})" for at, value in enumerate(values * 3))
    await sql(f"CREATE TABLE t (n int, k {kind})", f"INSERT INTO t VALUES {rows}")
    for limit in (1, 2, 3, 5, 12, 50):
        async with reading("t", key="k") as source:
            records = await read_through(source, limit)
        assert sorted(record.data["n"] for record in records) == list(range(12))
        assert len({record.position for record in records}) == 12


@pytest.mark.parametrize(
    ("kind", "value", "code"),
    [
        ("json", '{"a": 1, "a": 2}', "duplicate_name"),
        ("json", '{"a": 0.1234567890123456789}', "inexact_number"),
        ("json", '{"a": 1e400}', "inexact_number"),
        ("json", '{"a": "\\ud800"}', "bad_unicode"),
        ("jsonb", '{"a": 0.1234567890123456789}', "inexact_number"),
        ("jsonb[]", '{"{\\"a\\": 12345678901234567.5}"}', "inexact_number"),
    ],
)
async def test_a_value_without_an_exact_form_costs_its_row_alone(sql, reading, kind, value, code):
    await sql(f"CREATE TABLE t (id int, v {kind})", f"INSERT INTO t VALUES (1, NULL), (2, '{value}'), (3, NULL)")
    for key in (None, "id"):
        async with reading("t", key=key) as source:
            records = await read_through(source, 3)
        assert [record.error is None for record in records] == [True, False, True]
        assert records[1].error.code == code
        for part in ("table t", "id=2" if key else "row (0,2)", "column v"):
            assert part in str(records[1].error)
        assert records[1].data == {"id": 2, "v": value}


async def test_a_text_that_is_not_utf8_costs_its_row_alone(sql, postgres_url, reading):
    """A database in SQL_ASCII holds any bytes."""
    url = urlsplit(postgres_url)
    name = f"{url.path.strip('/')}_ascii"
    await sql(f"CREATE DATABASE {name} ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0")
    other = url._replace(path=f"/{name}").geturl()
    connection = await asyncpg.connect(other)
    await connection.execute("CREATE TABLE t (id int, v text)")
    await connection.execute("INSERT INTO t VALUES (1, 'a'), (2, E'caf\\xe9'), (3, 'c')")
    await connection.close()
    for key in (None, "id"):
        async with reading("t", key=key, url=other) as source:
            records = await read_through(source, 3)
        assert [record.data["id"] for record in records] == [1, 2, 3]
        assert [record.error and record.error.code for record in records] == [None, "encoding", None]
        assert "column v: byte 0xe9 at offset 3" in str(records[1].error)
    await sql(f"DROP DATABASE {name}")
