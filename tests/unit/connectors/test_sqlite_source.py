"""Tests SQLite as a source: tables and queries of every kind, and what cannot be read."""

from __future__ import annotations

import datetime as dt

import pytest

from loom_common.config.credentials import Credentials
from loom_common.domain.definition.extract import ExtractConfig
from loom_common.errors import ConfigurationError, SourceError, Timeout
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.sql import key_pieces
from loom_connectors.sqlite.connector import open_source
from support.pieces import read_pieces, read_through
from support.sqlite_files import run_sql


def source(folder, table: str | None = None, params=None, **extract):
    location = "sqlite:///x.db" + (f"?table={table}" if table else "")
    context = ConnectorContext(folder, Credentials({}), params=params or {})
    return open_source(ExtractConfig(source=location, **extract), context)


async def read(folder, *args, limit: int = 2, **extract):
    reading = source(folder, *args, **extract)
    await reading.check()
    return await read_through(reading, limit)


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
    with pytest.raises(SourceError, match=r"not a database\. Correct the path"):
        await source(tmp_path, "t").check()


async def test_a_query_that_takes_too_long_is_given_up_and_not_counted(tmp_path):
    run_sql(tmp_path, "CREATE TABLE t (id)")
    endless = "WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n) SELECT id FROM n WHERE id < 0"
    reading = source(tmp_path, query=endless, key="id", options={"timeouts": {"query": 0.05, "count": 0.05}})
    with pytest.raises(Timeout, match=r"options\.timeouts"):
        await reading.read(None, 1)
    assert await reading.count() is None


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


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ("(1), (2), (3.5), (4), (NULL), (NULL)", 3),
        ("('a'), ('b'), ('B'), ('ä'), ('c'), (NULL)", 3),
        ("(1), ('1'), (2), ('2')", 1),
        ("('a'), (x'61'), ('b'), (x'62')", 1),
        ("(NULL), (NULL)", 1),
        ("(1), (1), (1)", 1),
    ],
    ids=["numbers", "texts", "a number is no text", "a text is no blob", "no key", "one key"],
)
async def test_a_table_is_split_where_different_keys_look_different(tmp_path, values, parts):
    run_sql(tmp_path, "CREATE TABLE t (k COLLATE NOCASE)", f"INSERT INTO t VALUES {values}")
    reading = source(tmp_path, "t", key="k")
    pieces = await reading.split(3)
    assert len(pieces) == parts
    assert await read_pieces(reading, pieces, 1) == await read(tmp_path, "t", key="k", limit=50)


async def test_a_query_is_split_by_whole_numbers_and_a_large_table_unasked(tmp_path, monkeypatch):
    monkeypatch.setattr(key_pieces, "PIECE_ROWS", 100)
    rows = "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s LIMIT 250) SELECT n FROM s"
    run_sql(tmp_path, "CREATE TABLE t (id INTEGER PRIMARY KEY)", f"INSERT INTO t {rows}")
    query = "SELECT id, 'x' || id AS text FROM t WHERE id > {{ least }}"
    params = {"least": 10}
    assert len(await source(tmp_path, "t").split(None)) == 2
    assert len(await source(tmp_path, "t", key="id").split(None)) == 2
    assert len(await source(tmp_path, query=query, key="id", params=params).split(None)) == 2
    assert len(await source(tmp_path, query=query, key="text", params=params).split(4)) == 1
    halves = source(tmp_path, query=query, key="id", params=params)
    first, second = [len(await read_pieces(halves, [piece], 100)) for piece in await halves.split(2)]
    assert (first, second) == (120, 120)
