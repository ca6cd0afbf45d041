"""The Postgres connector against a real server: types, rights, constraints, and a server that goes away."""

from __future__ import annotations

import asyncio
import datetime as dt
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from loom_common.credentials import Credentials, EnvProvider
from loom_common.domain.pipeline import ExtractConfig, LoadConfig
from loom_common.errors import (
    AccessRefused,
    ConfigurationError,
    DependencyUnavailable,
    DestinationError,
    SourceError,
    Timeout,
)
from loom_connectors.keyset import KeyCursor, page_sql
from loom_connectors.ports import LoadBatch, ReadRecord, Row, Surroundings
from loom_connectors.postgres import open_destination, open_source
from loom_connectors.postgres_source import dialect

RUN = "run_0123456789ab"


def surroundings(folder, url: str, **more: Any) -> Surroundings:
    return Surroundings(folder, Credentials({"env": EnvProvider({"DB": url})}), **more)


@pytest.fixture
async def sql(postgres_url):
    """Runs statements in the test's own database."""
    connection = await asyncpg.connect(postgres_url)

    async def run(*statements: str) -> list[tuple[Any, ...]]:
        rows: list[Any] = []
        for statement in statements:
            rows = await connection.fetch(statement)
        return [tuple(row) for row in rows]

    yield run
    await connection.close()


@pytest.fixture
def reading(postgres_url, tmp_path):
    """Opens a source, and closes it."""

    @asynccontextmanager
    async def opened(table: str | None = None, *, url: str = postgres_url, params=None, **extract: Any):
        location = "${DB}" + (f"?table={table}" if table else "")
        source = open_source(
            ExtractConfig(source=location, **extract), surroundings(tmp_path, url, params=params or {})
        )
        try:
            yield source
        finally:
            await source.close()

    return opened


@pytest.fixture
def loading(postgres_url, tmp_path):
    """Opens a destination, and closes it."""

    @asynccontextmanager
    async def opened(table: str = "t", *, url: str = postgres_url, schema=None, **load: Any):
        location = f"${{DB}}?table={table}"
        destination = open_destination(
            LoadConfig(destination=location, **load), surroundings(tmp_path, url, output_schema=schema)
        )
        try:
            yield destination
        finally:
            await destination.close()

    return opened


async def everything(source, limit: int = 3) -> list[ReadRecord]:
    await source.check()
    records, cursor, end = [], None, False
    while not end:
        page = await source.read(cursor, limit)
        records += page.records
        cursor, end = page.cursor, page.end
    return records


def batch(*rows: dict, name: str = "b", run: str = RUN) -> LoadBatch:
    return LoadBatch(run, name, 0, 0, 0, [Row(f"r{at}", values) for at, values in enumerate(rows)])


# --- reading ------------------------------------------------------------------------------------------------------


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
        "n": "nan",
        "i": "P1DT7200S",
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


# --- who may, and who is there ------------------------------------------------------------------------------------


async def test_a_wrong_password_is_refused_and_not_shown(postgres_url, reading):
    url = postgres_url.replace(f":{urlsplit(postgres_url).password}@", ":hunter2@")
    async with reading("t", url=url) as source:
        with pytest.raises(AccessRefused) as raised:
            await source.check()
    assert "hunter2" not in str(raised.value)


async def test_a_server_that_is_not_there_is_unavailable(reading, loading):
    url = "postgres://u:secret@127.0.0.1:1/d"
    async with reading("t", url=url) as source, loading(url=url) as destination:
        for attempt in (source.check(), source.read(None, 1), destination.check(), destination.load(batch({"a": 1}))):
            with pytest.raises(DependencyUnavailable, match=r"postgres://127\.0\.0\.1:1/d") as raised:
                await attempt
            assert "secret" not in str(raised.value)


async def test_a_database_that_is_not_there_is_an_error(postgres_url, reading):
    async with reading("t", url=urlsplit(postgres_url)._replace(path="/nosuch").geturl()) as source:
        with pytest.raises(SourceError, match="nosuch"):
            await source.check()


async def test_a_connection_lost_in_the_midst_of_a_load_can_be_tried_again(sql, postgres_url, loading):
    await sql("CREATE TABLE t (a text)")
    other = await asyncpg.connect(postgres_url)
    async with loading() as destination:
        async with other.transaction():
            await other.execute("LOCK TABLE t")
            load = asyncio.create_task(destination.load(batch({"a": 1})))
            while not await sql("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE NOT granted"):
                assert not load.done()
            with pytest.raises(DependencyUnavailable):
                await load
        assert (await destination.load(batch({"a": 1}))).loaded == 1
    await other.close()
    assert await sql("SELECT a FROM t") == [("1",)]


async def test_a_connection_lost_while_idle_is_replaced(sql, loading):
    async with loading() as destination:
        await destination.load(batch({"a": 1}))
        await sql(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
            "AND datname = current_database()"
        )
        try:
            result = await destination.load(batch({"a": 2}, name="b2"))
        except DependencyUnavailable:  # the driver had not heard of it yet
            result = await destination.load(batch({"a": 2}, name="b2"))
        assert result.loaded == 1
    assert await sql("SELECT a FROM t ORDER BY a") == [("1",), ("2",)]


async def test_a_user_who_may_not_write_is_refused(sql, postgres_url, loading):
    parts = urlsplit(postgres_url)
    user = f"reader_{parts.path[-12:]}"
    await sql(
        "CREATE TABLE t (a text)",
        f"CREATE ROLE {user} LOGIN PASSWORD 'pw'",
        f"GRANT SELECT ON t TO {user}",
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
    )
    url = parts._replace(netloc=f"{user}:pw@{parts.hostname}:{parts.port}").geturl()
    for table in ("t", "new"):
        async with loading(table, url=url) as destination:
            for attempt in (destination.check(), destination.load(batch({"a": 1}))):
                with pytest.raises(AccessRefused):
                    await attempt
    await sql(f"DROP OWNED BY {user}", f"DROP ROLE {user}")


async def test_a_read_only_database_is_refused(sql, postgres_url, loading):
    name = urlsplit(postgres_url).path.strip("/")
    await sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    async with loading() as destination:
        for attempt in (destination.check(), destination.load(batch({"a": 1}))):
            with pytest.raises(AccessRefused, match="read-only"):
                await attempt


# --- writing ------------------------------------------------------------------------------------------------------


async def test_a_table_is_made_by_the_declared_output(sql, loading):
    schema = {
        "properties": {
            "n": {"type": "integer"},
            "x": {"type": ["number", "null"]},
            "ok": {"type": "boolean"},
            "tags": {"type": "array"},
            "label": {"enum": ["a", "b"]},
        }
    }
    async with loading(schema=schema, mode="upsert", key="id") as destination:
        await destination.load(batch({"id": "1", "n": 1, "x": None, "ok": True, "tags": ["a", "\t\\"], "label": "ü\n"}))
    columns = await sql("SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 't'")
    assert dict(columns) == {
        "id": "text",
        "n": "bigint",
        "x": "double precision",
        "ok": "boolean",
        "tags": "jsonb",
        "label": "text",
    }
    assert await sql("SELECT id, n, x, ok, tags->>1, label FROM t") == [("1", 1, None, True, "\t\\", "ü\n")]


async def test_values_take_the_type_of_their_column(sql, loading):
    await sql(
        "CREATE TABLE t (id int, d date, num numeric, j jsonb, l text[], b bytea, t text, "
        "g int GENERATED ALWAYS AS (1) STORED)"
    )
    row = {
        "id": "7",
        "d": "2024-02-29",
        "num": 0.1,
        "j": "text",
        "l": ["a,b", None, '"'],
        "b": "\\x00ff",
        "t": {"a": 1},
    }
    async with loading() as destination:
        assert (await destination.load(batch(row))).failed == ()
    assert await sql("SELECT id, d, num::text, j::text, l, b, t FROM t") == [
        (7, dt.date(2024, 2, 29), "0.1", '"text"', ["a,b", None, '"'], b"\x00\xff", '{"a":1}')
    ]


@pytest.mark.parametrize("mode", ["append", "upsert", "replace"])
async def test_every_kind_of_bad_row_fails_alone_with_its_reason(sql, loading, mode):
    await sql(
        "CREATE TABLE parent (id int PRIMARY KEY)",
        "INSERT INTO parent VALUES (1)",
        """CREATE TABLE t (id int PRIMARY KEY, score numeric CHECK (score <= 1), text varchar(5) NOT NULL,
                           parent int REFERENCES parent DEFERRABLE INITIALLY DEFERRED)""",
    )
    good = {"id": 1, "score": 0.5, "text": "a", "parent": 1}
    rows = [
        good,
        {**good, "id": 2, "score": 2},
        {**good, "id": 3, "score": "high"},
        {**good, "id": 4, "text": None},
        {**good, "id": 5, "text": "too long"},
        {**good, "id": 6, "text": "a\0b"},
        {**good, "id": 7, "text": "\ud800"},
        {**good, "id": 8},
    ]
    async with loading(mode=mode, key="id") as destination:
        result = await destination.load(batch(*rows))
        assert await destination.load(batch(*rows)) == result
        await destination.finalize(RUN, complete=True)
    assert result.loaded == 2
    assert {row.record_id: row.code for row in result.failed} == {
        "r1": "constraint", "r2": "type", "r3": "constraint", "r4": "type", "r5": "type", "r6": "type",
    }  # fmt: skip
    reasons = {row.record_id: row.reason for row in result.failed}
    assert "t_score_check" in reasons["r1"]
    assert 'column score: invalid input syntax for type numeric: "high"' in reasons["r2"]
    assert '"text"' in reasons["r3"]
    assert await sql("SELECT id FROM t ORDER BY id") == [(1,), (8,)]


@pytest.mark.parametrize("mode", ["append", "upsert"])
async def test_a_row_without_its_parent_fails_alone_even_where_that_is_checked_at_the_end(sql, loading, mode):
    await sql(
        "CREATE TABLE parent (id int PRIMARY KEY)",
        "INSERT INTO parent VALUES (1)",
        "CREATE TABLE t (id int PRIMARY KEY, parent int REFERENCES parent DEFERRABLE INITIALLY DEFERRED)",
    )
    async with loading(mode=mode, key="id") as destination:
        result = await destination.load(batch({"id": 1, "parent": 1}, {"id": 2, "parent": 9}, {"id": 3, "parent": 1}))
    assert [(row.record_id, row.code) for row in result.failed] == [("r1", "constraint")]
    assert "(parent)=(9)" in result.failed[0].reason
    assert await sql("SELECT id FROM t ORDER BY id") == [(1,), (3,)]


async def test_a_column_the_table_lacks_is_named_with_the_remedy(sql, loading):
    await sql("CREATE TABLE t (id int, scores int)")
    async with loading(schema={"properties": {"score": {"type": "number"}}}) as destination:
        for attempt in (destination.check(), destination.load(batch({"id": 1, "score": 1}, {"id": 2, "score": 1}))):
            with pytest.raises(DestinationError) as raised:
                await attempt
            for part in ("table t", "'score'", "id, scores", "Did you mean 'scores'?", "ADD COLUMN"):
                assert part in str(raised.value)
        await sql("ALTER TABLE t ADD COLUMN score numeric")
        await destination.check()
        assert (await destination.load(batch({"id": 1, "score": 1}, {"id": 2, "score": 1}))).loaded == 2


async def test_a_missing_table_is_not_made_where_that_is_switched_off(loading):
    async with loading(options={"create_table": False}) as destination:
        for attempt in (destination.check(), destination.load(batch({"id": 1}))):
            with pytest.raises(DestinationError, match="has no table t"):
                await attempt


async def test_an_upsert_needs_a_unique_index_on_its_key(sql, loading):
    await sql("CREATE TABLE t (id int, n int)", "CREATE UNIQUE INDEX ON t (id) WHERE n > 0")
    async with loading(mode="upsert", key="id") as destination:
        for attempt in (destination.check(), destination.load(batch({"id": 1, "n": 1}))):
            with pytest.raises(DestinationError, match=r'CREATE UNIQUE INDEX ON "t" \("id"\)'):
                await attempt
        await sql("CREATE UNIQUE INDEX ON t (id) INCLUDE (n)")
        await destination.check()
        result = await destination.load(batch({"id": 1, "n": 1}, {"id": None, "n": 2}, {"id": "01", "n": 3}))
    assert [(row.record_id, row.code) for row in result.failed] == [("r1", "missing_key")]
    assert await sql("SELECT * FROM t") == [(1, 3)]


async def test_an_upsert_keeps_the_columns_it_does_not_bring(sql, loading):
    await sql(
        "CREATE TABLE t (a int, b int, n int, kept text, PRIMARY KEY (a, b))", "INSERT INTO t VALUES (1, 1, 0, 'x')"
    )
    async with loading(mode="upsert", key=["b", "a"]) as destination:
        await destination.load(batch({"a": 1, "b": 1, "n": 5}, {"a": 1, "b": 2, "n": 6}))
        await destination.load(batch({"a": 1, "b": 3}, {"a": 1, "b": 3}, name="keys alone"))
    assert await sql("SELECT * FROM t ORDER BY b") == [(1, 1, 5, "x"), (1, 2, 6, None), (1, 3, None, None)]


async def test_a_replacement_keeps_the_table_and_who_refers_to_it(sql, loading):
    await sql(
        "CREATE SCHEMA s",
        'CREATE TABLE s."My Table" (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n int)',
        'INSERT INTO s."My Table" (n) VALUES (1)',
        'CREATE VIEW v AS SELECT n FROM s."My Table"',
    )
    async with loading("s.My Table", mode="replace") as destination:
        await destination.load(batch({"n": 7}, {"n": 8}))
        assert await sql("SELECT * FROM v") == [(1,)]
        await destination.finalize(RUN, complete=True)
    assert await sql("SELECT * FROM v") == [(7,), (8,)]
    assert await sql("SELECT table_name FROM information_schema.tables WHERE table_schema = 's' ORDER BY 1") == [
        ("My Table",),
        ("loom_load_ledger",),
    ]


async def test_the_ledger_holds_what_became_of_each_batch(sql, loading):
    await sql("CREATE TABLE t (id int)")
    async with loading() as destination:
        await destination.load(batch({"id": 1}, {"id": "x"}))
    ((run, name, loaded, failed),) = await sql(
        "SELECT run_id, batch_id, loaded, failed->0->>'record_id' FROM loom_load_ledger"
    )
    assert (run, name, loaded, failed) == (RUN, "b", 1, "r1")
