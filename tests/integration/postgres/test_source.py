"""Tests reading from a real Postgres: types, order, parameters, and a server that is not there."""

from __future__ import annotations

import datetime as dt
from urllib.parse import urlsplit

import asyncpg
import pytest

from loom_common.errors import (
    AccessRefused,
    ConfigurationError,
    DependencyUnavailable,
    SourceError,
    Timeout,
)
from loom_connectors.ports.source import ReadRecord
from loom_connectors.postgres.source import dialect
from loom_connectors.sql.keyset_paging import KeyCursor, page_sql
from support.pieces import read_pieces, read_through


async def everything(source, limit: int = 3) -> list[ReadRecord]:
    await source.check()
    return await read_through(source, limit)


async def test_values_become_json(sql, reading):
    await sql(
        """CREATE TABLE t AS SELECT 1 AS id, 12.50::numeric AS d, '2024-02-29'::date AS day,
           '2024-02-29 12:00+02'::timestamptz AS at, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid AS u,
           '\\x00ff'::bytea AS b, '{"a": [1, null]}'::jsonb AS j, '[true]'::json AS k, ARRAY[1, 2] AS l,
           'NaN'::float8 AS n, interval '1 day 2 hours' AS i, true AS y, NULL::text AS z, '10.0.0.1'::inet AS ip"""
    )
    async with reading("t", key="id") as source:
        (record,) = await everything(source)
    assert record.data == {
        "id": 1,
        "d": "12.50",
        "day": "2024-02-29",
        "at": "2024-02-29T10:00:00+00:00",
        "u": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        "b": "\\x00ff",
        "j": {"a": [1, None]},
        "k": [True],
        "l": [1, 2],
        "n": "NaN",
        "i": "P1DT2H",
        "y": True,
        "z": None,
        "ip": "10.0.0.1",
    }


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("integer", "n"),
        ("bigint", "n * 10000000000"),
        ("numeric", "n / 4.0"),
        ("double precision", "n / 3.0"),
        ("text", "'é' || n"),
        ("boolean", "n > 5"),
        ("date", "'2024-01-01'::date + n"),
        ("timestamp", "'2024-01-01'::timestamp + n * interval '1 us'"),
        ("timestamptz", "'2024-01-01'::timestamptz + n * interval '1 us'"),
        ("uuid", "md5(n::text)::uuid"),
        ("bytea", "decode(md5(n::text), 'hex')"),
        ("mood", "CASE WHEN n > 5 THEN 'happy' ELSE 'sad' END::mood"),
    ],
)
async def test_a_key_of_any_type_orders_the_pages(sql, reading, kind, value):
    await sql(
        "CREATE TYPE mood AS ENUM ('happy', 'sad')",
        f"CREATE TABLE t AS SELECT n, ({value})::{kind} AS k FROM generate_series(1, 10) n",
        "CREATE INDEX ON t (k)",
    )
    async with reading("t", key="k") as source:
        records = await everything(source)
    assert sorted(record.data["n"] for record in records) == list(range(1, 11))
    assert len({record.position for record in records}) == 10


async def test_parameters_are_bound_with_their_types(sql, reading):
    await sql("CREATE TABLE t AS SELECT n AS id, '2024-01-01'::date + n AS day FROM generate_series(1, 9) n")
    query = "SELECT id FROM t WHERE day > {{ since }} AND id < {{ params.most }} AND {{ word }}::text <> ''"
    params = {"since": dt.date(2024, 1, 4), "most": 7, "word": "x'; DROP TABLE t; --"}
    async with reading(query=query, key="id", params=params) as source:
        assert [record.data["id"] for record in await everything(source)] == [4, 5, 6]
        assert await source.count() == 3


async def test_rows_of_one_key_are_read_once_whatever_the_page_size(sql, reading):
    await sql("CREATE TABLE t AS SELECT n, n / 7 AS k FROM generate_series(1, 40) n ORDER BY md5(n::text)")
    async with reading("t", key="k") as source:
        whole = await everything(source, 100)
        assert sorted(record.data["n"] for record in whole) == list(range(1, 41))
        for limit in (1, 2, 5, 7, 39):
            assert await everything(source, limit) == whole


async def test_pages_by_key_use_the_index(sql, postgres_url):
    await sql(
        "CREATE TABLE t AS SELECT n AS id FROM generate_series(1, 20000) n",
        "CREATE UNIQUE INDEX ON t (id)",
        "ANALYZE t",
    )
    spoken, after = dialect({"id": "pg_catalog.int4"}), KeyCursor(last=(10_000,), given=1)
    page = page_sql("SELECT * FROM t WHERE id > 0", ["id"], after, 100, spoken, 0)
    connection = await asyncpg.connect(postgres_url)
    plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN {page}", "10000"))
    await connection.close()
    assert "Index" in plan
    assert "Seq Scan" not in plan


async def test_a_large_table_is_read_in_physical_order(sql, reading):
    await sql(
        "CREATE TABLE t AS SELECT n, repeat('x', 500) AS filler FROM generate_series(1, 3000) n",
        "DELETE FROM t WHERE n BETWEEN 500 AND 2500",
    )
    async with reading("public.t") as source:
        records = await everything(source, 250)
        assert await source.count() == 999
    assert [record.data["n"] for record in records] == [*range(1, 500), *range(2501, 3001)]
    assert records[0].position == "row (0,1)"


@pytest.mark.parametrize("ask", [{"table": "v"}, {"table": "p"}, {"query": "SELECT * FROM t"}])
async def test_what_has_no_order_needs_a_key(sql, reading, ask):
    await sql(
        "CREATE TABLE t (id int)", "CREATE VIEW v AS SELECT * FROM t", "CREATE TABLE p (id int) PARTITION BY LIST (id)"
    )
    async with reading(**ask) as source:
        with pytest.raises(ConfigurationError, match=r"add extract\.key"):
            await source.check()
        with pytest.raises(ConfigurationError, match=r"add extract\.key"):
            await source.read(None, 1)


@pytest.mark.parametrize(
    ("ask", "error", "words"),
    [
        ({"table": "t", "key": "idd"}, ConfigurationError, "its columns are id, text. Did you mean 'id'?"),
        ({"query": "SELECT 1 AS id, 2 AS id", "key": "id"}, ConfigurationError, "two columns are called 'id'"),
        (
            {"query": "SELECT id FROM t WHERE id = {{ a }}", "key": "id"},
            ConfigurationError,
            "parameter is not of the type",
        ),
        ({"query": "SELEC 1", "key": "id"}, SourceError, "syntax error"),
        ({"table": "nosuch"}, SourceError, "nosuch"),
        ({"table": "nosuch", "key": "id"}, SourceError, "nosuch"),
    ],
)
async def test_a_question_that_cannot_be_asked_is_explained(sql, reading, ask, error, words):
    await sql("CREATE TABLE t (id int, text text)")
    async with reading(params={"a": "x"}, **ask) as source:
        with pytest.raises(error) as raised:
            await source.check()
    assert words in str(raised.value)


async def test_a_slow_query_is_given_up_and_not_counted(reading):
    timeouts = {"query": 0.1, "count": 0.1}
    async with reading(query="SELECT 1 AS id, pg_sleep(5)", key="id", options={"timeouts": timeouts}) as source:
        with pytest.raises(Timeout, match=r"options\.timeouts"):
            await source.read(None, 1)
        assert await source.count() is None


async def test_a_wrong_password_is_refused_and_not_shown(postgres_url, reading):
    url = postgres_url.replace(f":{urlsplit(postgres_url).password}@", ":hunter2@")
    async with reading("t", url=url) as source:
        with pytest.raises(AccessRefused) as raised:
            await source.check()
    assert "hunter2" not in str(raised.value)


async def test_a_server_that_is_not_there_is_unavailable(reading):
    async with reading("t", url="postgres://u:secret@127.0.0.1:1/d") as source:
        for attempt in (source.check(), source.read(None, 1)):
            with pytest.raises(DependencyUnavailable, match=r"postgres://127\.0\.0\.1:1/d") as raised:
                await attempt
            assert "secret" not in str(raised.value)


async def test_a_database_that_is_not_there_is_an_error(postgres_url, reading):
    async with reading("t", url=urlsplit(postgres_url)._replace(path="/nosuch").geturl()) as source:
        with pytest.raises(SourceError, match="nosuch"):
            await source.check()


async def test_a_table_is_split_by_its_blocks(sql, reading):
    await sql("CREATE TABLE t AS SELECT n AS id, repeat('x', 400) AS text FROM generate_series(1, 200) AS n")
    async with reading("t") as source:
        pieces = await source.split(4)
        found = [len(await read_pieces(source, [piece], 7)) for piece in pieces]
        assert await read_pieces(source, pieces, 7) == await everything(source, 50)
    assert len(found) == 4
    assert min(found) > 20


@pytest.mark.parametrize("key", ["id", "d", "word", "at", "half"])
async def test_a_table_is_split_by_keys_of_any_type(sql, reading, key):
    await sql(
        """CREATE TABLE t AS SELECT n AS id, n / 7.0 AS d, 'Wörd ' || n AS word, n / 2 AS half,
           '2024-01-01'::timestamptz + n * interval '7 hours' AS at FROM generate_series(1, 300) AS n"""
    )
    async with reading("t", key=key) as source:
        pieces = await source.split(4)
        found = [len(await read_pieces(source, [piece], 70)) for piece in pieces]
        assert await read_pieces(source, pieces, 70) == await everything(source, 100)
    assert found == pytest.approx([75] * 4, abs=2)


async def test_a_large_table_is_split_unasked_and_a_small_one_is_not(sql, reading):
    await sql("CREATE TABLE t AS SELECT n AS id FROM generate_series(1, 250000) AS n", "ANALYZE t")
    async with reading("t", key="id") as source:
        assert len(await source.split(None)) == 2
    async with reading(query="SELECT * FROM t WHERE id > 1000", key="id") as source:
        assert len(await source.split(None)) == 2
    async with reading(query="SELECT * FROM t LIMIT 1000", key="id") as source:
        assert len(await source.split(None)) == 1
