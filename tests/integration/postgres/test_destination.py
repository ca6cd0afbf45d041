"""Loading into a real Postgres: rights, constraints, tables that are made, and connections that are lost."""

from __future__ import annotations

import asyncio
import datetime as dt
from urllib.parse import urlsplit

import asyncpg
import pytest

from loom_common.errors import (
    AccessRefused,
    DependencyUnavailable,
    DestinationError,
)
from loom_connectors.ports import LoadBatch, Row

RUN = "run_0123456789ab"


def batch(*rows: dict, name: str = "b", run: str = RUN) -> LoadBatch:
    return LoadBatch(run, name, 0, 0, 0, [Row(f"r{at}", values) for at, values in enumerate(rows)])


async def test_a_server_that_is_not_there_is_unavailable(loading):
    async with loading(url="postgres://u:secret@127.0.0.1:1/d") as destination:
        for attempt in (destination.check(), destination.load(batch({"a": 1}))):
            with pytest.raises(DependencyUnavailable, match=r"postgres://127\.0\.0\.1:1/d") as raised:
                await attempt
            assert "secret" not in str(raised.value)


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
    assert await sql("SELECT a FROM t ORDER BY a") == [(1,), (2,)]


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


async def test_an_empty_text_for_a_column_of_numbers_is_refused_with_the_option_that_makes_it_null(sql, loading):
    await sql("CREATE TABLE t (id text, n integer, d date)")
    async with loading() as destination:
        result = await destination.load(batch({"id": "1", "n": "", "d": None}, {"id": "2", "n": None, "d": ""}))
        assert result.loaded == 0
        for failed in result.failed:
            assert failed.code == "type"
            assert "extract: {options: {null_values: ['']}}" in failed.reason
        assert (await destination.load(batch({"id": "3", "n": None, "d": None}, name="c"))).loaded == 1


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
    assert run == RUN
    assert name == "b"
    assert loaded == 1
    assert failed == "r1"


async def test_a_record_whose_id_holds_nul_fails_alone_and_the_same_way_again(sql, loading):
    await sql("CREATE TABLE t (id text)")
    rows = [Row("a\0b", {"id": "a\0b"}), Row("ok", {"id": "ok"}), Row("\ud800", {"id": "\ud800"})]
    async with loading() as destination:
        result = await destination.load(LoadBatch(RUN, "b", 0, 0, 0, rows))
        assert await destination.load(LoadBatch(RUN, "b", 0, 0, 0, rows)) == result
    assert [row.record_id for row in result.failed] == ["a\0b", "\ud800"]
    assert await sql("SELECT id FROM t") == [("ok",)]


@pytest.mark.parametrize("name", ["a\0b", "\ud800", ""])
@pytest.mark.parametrize("exists", [True, False])
async def test_a_field_that_cannot_name_a_column_is_told_once_and_not_tried_again(sql, loading, name, exists):
    if exists:
        await sql("CREATE TABLE t (id int)")
    async with loading() as destination:
        with pytest.raises(DestinationError, match="cannot be a column"):
            await destination.load(batch({"id": 1, name: 1}, {"id": 2, name: 1}))
        result = await destination.load(batch({"id": 1}, {"id": 2, name: 1}, name="b2"))
    assert [(row.record_id, row.code) for row in result.failed] == [("r1", "missing_column")]
    assert await sql("SELECT id FROM t") == [(1,)]


async def test_a_table_that_loom_makes_holds_its_first_values_exactly(sql, loading):
    first = {"i": 1, "x": 1 / 3, "y": True, "t": "1", "big": 2**70, "o": {"a": [1]}, "b": {"$bytes": "00ff"}, "z": None}
    async with loading() as destination:
        assert (await destination.load(batch(first))).failed == ()
        later = await destination.load(batch({"i": 1.0}, {"i": 1.5}, {"x": 2**53 + 1}, {"z": 0.1}, name="b2"))
    columns = await sql("SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 't'")
    assert dict(columns) == {
        "i": "bigint", "x": "double precision", "y": "boolean", "t": "text", "big": "numeric", "o": "jsonb",
        "b": "bytea", "z": "text",
    }  # fmt: skip
    assert (await sql("SELECT i, x, y, t, big, o->'a'->>0, b FROM t"))[0] == (
        1,
        1 / 3,
        True,
        "1",
        2**70,
        "1",
        b"\0\xff",
    )
    assert [row.record_id for row in later.failed] == ["r1", "r2"]
    assert await sql("SELECT i, z FROM t WHERE x IS NULL ORDER BY i") == [(1, None), (None, "0.1")]


async def test_what_a_column_would_change_is_refused_with_its_column(sql, loading):
    await sql("CREATE TABLE t (id int, p numeric(5,2), r real, d date, ts timestamp, l text[], f float8)")
    rows = [
        {"id": 1, "p": 1.25, "r": 0.1, "d": "2024-02-29", "ts": "2024-02-29T12:00:00Z", "l": ["a", None], "f": 1 / 3},
        {"p": 1.239}, {"r": 0.123456789}, {"d": "2024-02-29T12:00:00"}, {"ts": "2024-02-29T12:00:00+02:00"},
        {"l": {"a": 1}}, {"l": [{"a": 1}]}, {"f": 2**53 + 1}, {"l": 7},
    ]  # fmt: skip
    async with loading() as destination:
        result = await destination.load(batch(*rows))
    assert [row.code for row in result.failed] == ["type"] * 8
    for failed, row in zip(result.failed, rows[1:], strict=True):
        assert failed.reason.startswith(f"column {next(iter(row))}: ")
    assert await sql("SELECT p::text, r::text, f FROM t") == [("1.25", "0.1", 1 / 3)]
