"""Tests SQLite as a destination: the tables that Loom makes, and tables that the rows do not fit."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from loom_common.config.credentials import Credentials
from loom_common.domain.definition.load import LoadConfig
from loom_common.errors import DependencyUnavailable, DestinationError
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.sqlite.connector import open_destination
from support.load_batches import RUN, batch
from support.sqlite_files import run_sql


def destination(folder, *, schema=None, contract=None, **load):
    context = ConnectorContext(folder, Credentials({}), output_schema=schema)
    return open_destination(LoadConfig(destination="sqlite:///x.db?table=t", schema=contract, **load), context)


async def test_a_table_is_made_by_the_declared_output(tmp_path):
    schema = {"properties": {"n": {"type": "integer"}, "x": {"type": "number"}, "l": {"type": "array"}}}
    opened = destination(tmp_path, schema=schema, mode="upsert", key="id")
    await opened.load(batch({"id": "1", "n": 1, "x": 0.5, "l": [1, 2]}))
    await opened.close()
    columns = run_sql(tmp_path, "SELECT name, type, pk FROM pragma_table_info('t')")
    assert columns == [("id", "TEXT", 1), ("n", "INTEGER", 0), ("x", "REAL", 0), ("l", "TEXT", 0)]
    assert run_sql(tmp_path, "SELECT * FROM t") == [("1", 1, 0.5, "[1,2]")]


async def test_a_column_the_table_lacks_is_named_with_the_remedy(tmp_path):
    run_sql(tmp_path, "CREATE TABLE t (id, scores)")
    opened = destination(tmp_path, schema={"properties": {"score": {"type": "number"}}})
    for attempt in (opened.check(), opened.load(batch({"id": 1, "score": 1}, {"id": 2, "score": 1}))):
        with pytest.raises(DestinationError) as raised:
            await attempt
        for part in ("table t", "'score'", "id, scores", "Did you mean 'scores'?", "ADD COLUMN"):
            assert part in str(raised.value)
    await opened.close()
    assert run_sql(tmp_path, "SELECT count(*) FROM t") == [(0,)]


async def test_a_view_whose_rows_would_be_replaced_is_refused_by_name(tmp_path):
    run_sql(tmp_path, "CREATE TABLE kept (id)")
    run_sql(tmp_path, "CREATE VIEW t AS SELECT id FROM kept")
    opened = destination(tmp_path, mode="replace")
    for attempt in (opened.check(), opened.load(batch({"id": 1}))):
        with pytest.raises(DestinationError, match="t is a view"):
            await attempt
    await opened.close()


async def test_a_missing_table_is_not_made_where_that_is_switched_off(tmp_path):
    opened = destination(tmp_path, options={"create_table": False})
    for attempt in (opened.check(), opened.load(batch({"id": 1}))):
        with pytest.raises(DestinationError, match="has no table t"):
            await attempt
    await opened.close()


async def test_a_missing_table_is_not_made_where_the_contract_of_the_rows_freezes_tables(tmp_path):
    opened = destination(tmp_path, contract={"tables": "freeze"}, options={"create_table": True})
    for attempt in (opened.check(), opened.load(batch({"id": 1}))):
        with pytest.raises(DestinationError, match=r"has no table t, .*`tables: freeze`"):
            await attempt
    run_sql(tmp_path, "CREATE TABLE t (id)")
    await opened.check()
    assert (await opened.load(batch({"id": 1}))).loaded == 1
    await opened.close()


async def test_an_upsert_needs_a_unique_index_on_its_key(tmp_path):
    run_sql(tmp_path, "CREATE TABLE t (id, n)")
    opened = destination(tmp_path, mode="upsert", key="id")
    for attempt in (opened.check(), opened.load(batch({"id": 1, "n": 1}))):
        with pytest.raises(DestinationError, match=r'CREATE UNIQUE INDEX "t_key" ON "t" \("id"\)'):
            await attempt
    run_sql(tmp_path, 'CREATE UNIQUE INDEX "t_key" ON "t" ("id")')
    await opened.check()
    assert (await opened.load(batch({"id": 1, "n": 1}, {"id": None, "n": 2}))).failed[0].code == "missing_key"
    await opened.close()


async def test_a_replacing_run_is_held_to_the_tables_indexes(tmp_path):
    run_sql(tmp_path, 'CREATE TABLE "t" (id, n INTEGER CHECK (n > 0))', "CREATE UNIQUE INDEX i ON t (id)")
    opened = destination(tmp_path, mode="replace")
    result = await opened.load(batch({"id": 1, "n": 1}, {"id": 1, "n": 2}, {"id": 2, "n": 0}, {"id": 3, "n": 3}))
    assert [row.record_id for row in result.failed] == ["r1", "r2"]
    await opened.finalize(RUN, complete=True)
    await opened.close()
    assert run_sql(tmp_path, "SELECT * FROM t ORDER BY id") == [(1, 1), (3, 3)]
    assert run_sql(tmp_path, "SELECT name FROM sqlite_schema WHERE name GLOB '*__loom_*'") == []


async def test_a_value_sqlite_cannot_hold_fails_alone(tmp_path):
    run_sql(tmp_path, "CREATE TABLE t (id INTEGER) STRICT")
    opened = destination(tmp_path)
    result = await opened.load(batch({"id": 1}, {"id": 2**70}, {"id": "x"}, {"id": 4}))
    await opened.close()
    assert [(row.record_id, row.code) for row in result.failed] == [("r1", "type"), ("r2", "type")]
    assert run_sql(tmp_path, "SELECT id FROM t") == [(1,), (4,)]


async def test_a_locked_file_can_be_tried_again(tmp_path):
    run_sql(tmp_path, "CREATE TABLE t (id)")
    opened = destination(tmp_path, options={"timeouts": {"load": 0.05}})
    with closing(sqlite3.connect(tmp_path / "x.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(DependencyUnavailable, match="locked"):
            await opened.load(batch({"id": 1}))
        other.execute("ROLLBACK")
    assert (await opened.load(batch({"id": 1}))).loaded == 1
    await opened.close()


async def test_what_fails_as_a_whole_leaves_nothing_behind(tmp_path):
    run_sql(tmp_path, "CREATE TABLE t (id)")
    opened = destination(tmp_path)
    with pytest.raises(DestinationError):
        await opened.load(batch({"nosuch": 1}))
    await opened.close()
    assert run_sql(tmp_path, "SELECT count(*) FROM sqlite_schema WHERE name = 'loom_load_ledger'") == [(0,)]


@pytest.mark.parametrize("name", ["a\0b", "\ud800", ""])
async def test_a_field_that_cannot_name_a_column_is_told_and_costs_no_other_row(tmp_path, name):
    opened = destination(tmp_path)
    with pytest.raises(DestinationError, match="cannot be a column"):
        await opened.load(batch({"id": 1, name: 1}, {"id": 2, name: 1}))
    result = await opened.load(batch({"id": 1}, {"id": 2, name: 1}, name="b2"))
    await opened.close()
    assert [(row.record_id, row.code) for row in result.failed] == [("r1", "missing_column")]


async def test_a_table_that_loom_makes_holds_its_first_values_exactly(tmp_path):
    opened = destination(tmp_path)
    first = {"i": 1, "x": 1 / 3, "y": True, "t": "1", "big": 2**70, "l": [1], "b": {"$bytes": "00ff"}, "z": None}
    await opened.load(batch({**first, "mixed": 1}, {**first, "mixed": "1"}, {**first, "mixed": True}))
    later = await opened.load(batch({"z": 1 / 3}, {"z": True}, {"i": 2**70}, {"i": "x"}, name="b2"))
    await opened.close()
    columns = dict(run_sql(tmp_path, "SELECT name, type FROM pragma_table_info('t')"))
    assert columns == {
        "i": "INTEGER", "x": "REAL", "y": "BOOLEAN", "t": "TEXT", "big": "TEXT", "l": "TEXT", "b": "BLOB", "z": "TEXT",
        "mixed": "JSON TEXT",
    }  # fmt: skip
    rows = run_sql(tmp_path, "SELECT i, x, y, t, big, l, b, mixed FROM t WHERE x NOT NULL")
    assert rows[0] == (1, 1 / 3, 1, "1", str(2**70), "[1]", b"\0\xff", "1")
    assert [row[-1] for row in rows] == ["1", '"1"', "true"]
    assert run_sql(tmp_path, "SELECT z FROM t WHERE z NOT NULL") == [("0.3333333333333333",), ("true",)]
    assert [(row.record_id, row.code) for row in later.failed] == [("r2", "type")]
    assert "column i: the integer" in later.failed[0].reason


async def test_a_value_that_affinity_would_change_is_refused_or_written_in_full(tmp_path):
    run_sql(tmp_path, "CREATE TABLE t (id TEXT, n INTEGER, x REAL, d NUMERIC, b BLOB)")
    opened = destination(tmp_path)
    result = await opened.load(
        batch(
            {"id": 1 / 3, "n": 1.0, "x": 5, "d": "12.5", "b": "\\x00ff"},
            {"id": True, "n": "12345678901234567890"}, {"x": 2**53 + 1}, {"d": "0.1234567890123456789"},
            {"x": "1" * 30}, {"b": "\\x0"},
        )
    )  # fmt: skip
    await opened.close()
    assert [row.record_id for row in result.failed] == ["r1", "r2", "r3", "r4"]
    assert [row.reason.split(":")[0] for row in result.failed] == ["column n", "column x", "column d", "column x"]
    rows = run_sql(tmp_path, "SELECT id, n, x, d, b FROM t")
    assert rows == [("0.3333333333333333", 1, 5.0, 12.5, b"\x00\xff"), (None, None, None, None, "\\x0")]


async def test_an_empty_text_for_a_strict_column_is_refused_with_the_option_that_makes_it_null(tmp_path):
    run_sql(tmp_path, "CREATE TABLE t (id TEXT, n INTEGER) STRICT")
    loading = destination(tmp_path)
    result = await loading.load(batch({"id": "1", "n": ""}, {"id": "2", "n": None}))
    await loading.close()
    assert (result.loaded, [failed.code for failed in result.failed]) == (1, ["type"])
    assert "extract: {options: {null_values: ['']}}" in result.failed[0].reason


async def test_of_many_rows_one_that_is_refused_stands_alone_and_the_last_of_a_key_counts(tmp_path):
    run_sql(tmp_path, "CREATE TABLE t (id TEXT PRIMARY KEY, n INTEGER CHECK (n <> 77))")
    loading = destination(tmp_path, mode="upsert", key="id")
    result = await loading.load(batch(*({"id": str(n % 120), "n": n} for n in range(173))))
    await loading.close()
    assert (result.loaded, [row.record_id for row in result.failed]) == (172, ["r77"])
    assert run_sql(tmp_path, "SELECT count(*), min(n), max(n) FROM t") == [(119, 53, 172)]


@pytest.mark.parametrize("count", [1, 9, 250, 333, 1_207])
async def test_any_number_of_rows_is_written_in_their_order(tmp_path, count):
    loading = destination(tmp_path)
    rows = [{"id": str(n), "a": "x", "b": None, "c": f"{n:,}"} for n in range(count)]
    result = await loading.load(batch(*rows))
    await loading.close()
    assert (result.loaded, result.failed) == (count, ())
    written = run_sql(tmp_path, "SELECT id, a, b, c FROM t ORDER BY rowid")
    assert written == [tuple(row.values()) for row in rows]


async def test_rows_of_more_columns_than_a_statement_has_values_are_written(tmp_path):
    names = [f"c{n}" for n in range(1_500)]
    loading = destination(tmp_path)
    result = await loading.load(batch(*({"id": str(n), **dict.fromkeys(names, "x")} for n in range(3))))
    await loading.close()
    assert result.loaded == 3
    assert run_sql(tmp_path, "SELECT id, c0, c1499 FROM t") == [(str(n), "x", "x") for n in range(3)]
