"""SQLite: reading tables and queries of every kind, and tables that do not fit."""

from __future__ import annotations

import datetime as dt
import sqlite3
from contextlib import closing

import pytest

from loom_common.config.credentials import Credentials
from loom_common.domain.definition.pipeline import ExtractConfig, LoadConfig
from loom_common.errors import (
    ConfigurationError,
    DependencyUnavailable,
    DestinationError,
    SourceError,
    Timeout,
)
from loom_connectors.ports import ConnectorContext, LoadBatch, Row
from loom_connectors.sqlite.connector import open_destination, open_source

RUN = "run_1"


def run_sql(folder, *statements: str):
    with closing(sqlite3.connect(folder / "x.db")) as db, db:
        for statement in statements:
            rows = db.execute(statement).fetchall()
    return rows


def source(folder, table: str | None = None, params=None, **extract):
    location = "sqlite:///x.db" + (f"?table={table}" if table else "")
    context = ConnectorContext(folder, Credentials({}), params=params or {})
    return open_source(ExtractConfig(source=location, **extract), context)


async def read(folder, *args, limit: int = 2, **extract):
    reading, records, cursor, end = source(folder, *args, **extract), [], None, False
    await reading.check()
    while not end:
        page = await reading.read(cursor, limit)
        records += page.records
        cursor, end = page.cursor, page.end
    return records


def destination(folder, *, schema=None, **load):
    context = ConnectorContext(folder, Credentials({}), output_schema=schema)
    return open_destination(LoadConfig(destination="sqlite:///x.db?table=t", **load), context)


def batch(*rows: dict, name: str = "b") -> LoadBatch:
    return LoadBatch(RUN, name, 0, 0, 0, [Row(f"r{at}", values) for at, values in enumerate(rows)])


async def test_parameters_are_bound(tmp_path):
    run_sql(tmp_path, "CREATE TABLE t (id, day)", "INSERT INTO t VALUES (1, '2024-01-01'), (2, '2024-02-01')")
    records = await read(
        tmp_path,
        query="SELECT id FROM t WHERE day > {{ since }} AND {{ word }} = '1'' OR 1=1'",
        key="id",
        params={"since": dt.date(2024, 1, 15), "word": "1' OR 1=1"},
    )
    assert [(record.position, record.data) for record in records] == [("id=2", {"id": 2})]


async def test_keys_of_every_type_are_read_once(tmp_path):
    run_sql(
        tmp_path,
        "CREATE TABLE t (k COLLATE NOCASE, n)",
        "INSERT INTO t VALUES (2, 0), (1.5, 1), ('a', 2), ('A', 3), ('a', 4), (x'00ff', 5), (x'00', 6), (NULL, 7)",
    )
    records = await read(tmp_path, "t", key="k", limit=1)
    assert sorted(record.data["n"] for record in records) == list(range(8))
    assert [record.data["k"] for record in records] == [
        1.5,
        2,
        "A",
        "a",
        "a",
        {"$bytes": "00"},
        {"$bytes": "00ff"},
        None,
    ]
    assert [record.position for record in records][2:5] == ["k=A", "k=a", "k=a #2"]


async def test_a_table_is_read_by_rowid_even_where_a_column_is_called_so(tmp_path):
    run_sql(tmp_path, "CREATE TABLE t (rowid TEXT, n)", "INSERT INTO t VALUES ('z', 1), ('y', 2), ('x', 3)")
    records = await read(tmp_path, "t")
    assert [(record.position, record.data["n"]) for record in records] == [("row 1", 1), ("row 2", 2), ("row 3", 3)]


@pytest.mark.parametrize("ask", [{"table": "v"}, {"table": "w"}, {"query": "SELECT * FROM t"}])
async def test_what_has_no_order_needs_a_key(tmp_path, ask):
    run_sql(
        tmp_path,
        "CREATE TABLE t (id)",
        "CREATE VIEW v AS SELECT * FROM t",
        "CREATE TABLE w (id PRIMARY KEY) WITHOUT ROWID",
    )
    with pytest.raises(ConfigurationError, match=r"add extract\.key"):
        await source(tmp_path, **ask).check()
    with pytest.raises(ConfigurationError, match=r"add extract\.key"):
        await source(tmp_path, **ask).read(None, 1)


async def test_a_key_that_is_no_column_is_a_mistake(tmp_path):
    run_sql(tmp_path, "CREATE TABLE t (id, text)")
    with pytest.raises(ConfigurationError, match=r"no column 'idd'; its columns are id, text\. Did you mean 'id'\?"):
        await source(tmp_path, "t", key="idd").check()


async def test_two_columns_of_one_name_are_both_read(tmp_path):
    run_sql(tmp_path, "CREATE TABLE t (id)")
    (record,) = await read(tmp_path, query="SELECT 1 AS id, 2 AS id", key="id")
    assert list(record.data.values()) == [1, 2]


@pytest.mark.parametrize("extract", [{}, {"table": "t", "query": "SELECT 1"}])
def test_a_query_or_a_table_must_be_named(tmp_path, extract):
    with pytest.raises(ConfigurationError, match="either a `query` or a table"):
        source(tmp_path, **extract)


async def test_a_missing_file_or_table_is_named_and_not_made(tmp_path):
    with pytest.raises(SourceError, match=str(tmp_path / "x.db")):
        await source(tmp_path, "t").check()
    assert not (tmp_path / "x.db").exists()
    run_sql(tmp_path, "CREATE TABLE other (id)")
    with pytest.raises(SourceError, match="no such table: t"):
        await source(tmp_path, "t").check()


async def test_a_file_that_is_no_database_is_an_error(tmp_path):
    (tmp_path / "x.db").write_text("not a database, whatever its name " * 100)
    with pytest.raises(SourceError, match="not a database"):
        await source(tmp_path, "t").check()


async def test_a_query_that_takes_too_long_is_given_up_and_not_counted(tmp_path):
    run_sql(tmp_path, "CREATE TABLE t (id)")
    endless = "WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n) SELECT id FROM n WHERE id < 0"
    reading = source(tmp_path, query=endless, key="id", options={"timeouts": {"query": 0.05, "count": 0.05}})
    with pytest.raises(Timeout, match=r"options\.timeouts"):
        await reading.read(None, 1)
    assert await reading.count() is None


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


async def test_a_missing_table_is_not_made_where_that_is_switched_off(tmp_path):
    opened = destination(tmp_path, options={"create_table": False})
    for attempt in (opened.check(), opened.load(batch({"id": 1}))):
        with pytest.raises(DestinationError, match="has no table t"):
            await attempt
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


async def test_a_value_of_sqlite_without_an_exact_form_costs_its_row_alone(tmp_path):
    run_sql(
        tmp_path,
        "CREATE TABLE t (id, v)",
        "INSERT INTO t VALUES (1, 9e999), (2, CAST(x'610062' AS TEXT)), (3, CAST(x'636166e9' AS TEXT))",
        "INSERT INTO t VALUES (4, x'00'), (5, -9e999)",
    )
    for key in (None, "id"):
        records = await read(tmp_path, "t", key=key)
        assert [record.error and record.error.code for record in records] == [
            "inexact_number", None, "encoding", None, "inexact_number",
        ]  # fmt: skip
        for part in ("table t", "id=3" if key else "row 3", "column v"):
            assert part in str(records[2].error)
        assert records[3].data == {"id": 4, "v": {"$bytes": "00"}}


async def test_infinite_keys_of_sqlite_are_read_once(tmp_path):
    run_sql(tmp_path, "CREATE TABLE t (k)", "INSERT INTO t VALUES (9e999), (-9e999), (9e999), (1)")
    records = await read(tmp_path, "t", key="k", limit=1)
    assert len(records) == len({record.position for record in records}) == 4


async def test_an_empty_text_for_a_strict_column_is_refused_with_the_option_that_makes_it_null(tmp_path):
    run_sql(tmp_path, "CREATE TABLE t (id TEXT, n INTEGER) STRICT")
    loading = destination(tmp_path)
    result = await loading.load(batch({"id": "1", "n": ""}, {"id": "2", "n": None}))
    await loading.close()
    assert (result.loaded, [failed.code for failed in result.failed]) == (1, ["type"])
    assert "extract: {options: {null_values: ['']}}" in result.failed[0].reason
