"""Tests loading into a real Postgres: values take the type of their column, and a bad row fails alone."""

from __future__ import annotations

import datetime as dt

import pytest

from loom_connectors.ports.destination import LoadBatch, Row
from support.load_batches import RUN, batch


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


async def test_a_record_whose_id_holds_nul_fails_alone_and_the_same_way_again(sql, loading):
    await sql("CREATE TABLE t (id text)")
    rows = [Row("a\0b", {"id": "a\0b"}), Row("ok", {"id": "ok"}), Row("\ud800", {"id": "\ud800"})]
    async with loading() as destination:
        result = await destination.load(LoadBatch(RUN, "b", 0, 0, 0, rows))
        assert await destination.load(LoadBatch(RUN, "b", 0, 0, 0, rows)) == result
    assert [row.record_id for row in result.failed] == ["a\0b", "\ud800"]
    assert await sql("SELECT id FROM t") == [("ok",)]


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
