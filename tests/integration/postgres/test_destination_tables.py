"""Tests loading into a real Postgres: tables that Loom makes, and tables that somebody else made."""

from __future__ import annotations

import pytest

from loom_common.errors import DestinationError
from support.load_batches import RUN, batch


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


VECTOR = {"properties": {"v": {"type": "array", "items": {"type": "number"}, "format": "vector"}}}


async def test_vectors_are_numbers_of_32_bits_in_a_new_table(sql, loading):
    async with loading(schema=VECTOR) as destination:
        await destination.load(batch({"id": "1", "v": [0.100000001, -2.0]}))
    assert await sql("SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attname = 'v'") == [("real[]",)]
    assert await sql("SELECT v[1] = 0.1::real, v[2] FROM t") == [(True, -2.0)]


@pytest.mark.parametrize("made", [False, True], ids=["by-loom", "by-somebody"])
async def test_vectors_are_those_of_pgvector_where_the_database_has_its_type(sql, loading, made):
    # A stand-in for the extension, which Debian 12 does not have: a type of that name that takes pgvector's texts.
    await sql("CREATE DOMAIN vector AS text CHECK (VALUE ~ '^\\[[-0-9.e]+(,[-0-9.e]+)*\\]$')")
    if made:
        await sql("CREATE TABLE t (id text, v vector)")
    async with loading(schema=VECTOR) as destination:
        await destination.check()
        await destination.load(batch({"id": "1", "v": [0.100000001, -2.0, 1e-9]}))
    assert await sql("SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attname = 'v'") == [("vector",)]
    assert await sql("SELECT v::text FROM t") == [("[0.100000001,-2.0,1e-9]",)]


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
