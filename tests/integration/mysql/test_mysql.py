"""Tests what is peculiar to MySQL and MariaDB: what the server would change without a word, statements that commit,
deadlocks, and its types."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from urllib.parse import urlsplit

import pymysql
import pytest

from loom_common.errors import AccessRefused, DependencyUnavailable, DestinationError, Timeout
from loom_connectors.mysql.writing import binder
from loom_connectors.ports.destination import LoadResult
from loom_connectors.values import UnfitValue
from support.load_batches import RUN, batch
from support.pieces import read_through

REFUSED = [
    ("int", "1.5", "no whole number"),
    ("int unsigned", -1, "Out of range"),
    ("bigint", 2**63, "Out of range"),
    ("decimal(6,2)", "1.005", "digits after the point"),
    ("decimal(6,2)", 123456, "Out of range"),
    ("double", 2**53 + 1, "would become"),
    ("float", 0.123456789, "32-bit"),
    ("date", "2024-01-01T10:00", "time"),
    ("date", "0000-00-00", "Incorrect date"),
    ("datetime", "2024-01-01T10:00:00.5", "digits of a second"),
    ("datetime", "2024-01-01T10:00:00+02:00", "offset"),
    ("time(1)", "10:00:00.25", "digits of a second"),
    ("year", 5, "no year"),
    ("char(5)", "ab ", "blanks"),
    ("varchar(2)", "ab ", "characters"),
    ("enum('a','b')", 1, "none of the column's values"),
    ("enum('a','b')", "A", "none of the column's values"),
    ("set('x','y')", "x,z", "'z'"),
    ("bit(2)", "111", "too long"),
    ("blob", "text", "bytes"),
    ("longtext", "\ud800", "surrogate"),
    ("varchar(9) CHARACTER SET latin1", "日", "Incorrect string value"),
    ("uuid", "no", "uuid"),
]


async def test_what_the_server_would_change_is_refused(sql, loading):
    columns = ", ".join(f"c{at} {kind}" for at, (kind, _, _) in enumerate(REFUSED))
    await sql(f"CREATE TABLE t (id int, {columns})")
    rows = [{"id": at, f"c{at}": value} for at, (_, value, _) in enumerate(REFUSED)]
    async with loading() as opened:
        result = await opened.load(batch(*rows, {"id": 99}))
    assert result.loaded == 1
    for (kind, value, words), row in zip(REFUSED, result.failed, strict=True):
        assert (row.code, words in row.reason) == ("type", True), (kind, value, row)


def test_a_number_in_json_that_mysql_would_round_is_refused():
    bind = binder("json64")
    assert bind({"a": [2**64 - 1, -(2**63)]}) == '{"a":[18446744073709551615,-9223372036854775808]}'
    with pytest.raises(UnfitValue, match="64 bits"):
        bind({"a": [2**64]})


async def test_values_are_exact_and_moments_are_in_utc(sql, reading):
    await sql(
        "CREATE TABLE t (id int PRIMARY KEY, u bigint unsigned, d decimal(30,10), f float, x double, t time(3), "
        "y year, dt datetime(6), ts timestamp(3) NULL, b bit(5), j json, o blob, e enum('b','a'), p text)",
        "INSERT INTO t VALUES (1, 18446744073709551615, 12345678901234567890.5, 0.1, 0.1, '-838:59:58.5', 2024, "
        "'2024-02-29 10:00:00.000001', from_unixtime(86400), b'00101', '{\"a\": [1, 12345678901234567890]}', x'00ff', "
        "'a', '😀')",
        "INSERT INTO t (id) VALUES (2)",
    )
    async with reading("t") as source:
        first, second = (await source.read(None, 10)).records
    assert first.data == {
        "id": 1,
        "u": 2**64 - 1,
        "d": "12345678901234567890.5000000000",
        "f": 0.1,
        "x": 0.1,
        "t": "-838:59:58.5",
        "y": 2024,
        "dt": "2024-02-29T10:00:00.000001",
        "ts": "1970-01-02T00:00:00+00:00",
        "b": "00101",
        "j": {"a": [1, 12345678901234567890]},
        "o": {"$bytes": "00ff"},
        "e": "a",
        "p": "😀",
    }
    assert (first.position, set(second.data.values())) == ("id=1", {2, None})


async def test_a_zero_date_keeps_its_record_back(sql, reading):
    await sql("CREATE TABLE t (id int PRIMARY KEY, d date)", "SET @@global.sql_mode = @@global.sql_mode")
    await sql("INSERT INTO t VALUES (1, '2024-01-01')", "INSERT IGNORE INTO t VALUES (2, '0000-00-00')")
    async with reading("t") as source:
        records = (await source.read(None, 10)).records
    assert [each.error and each.error.code for each in records] == [None, "zero_date"]
    assert "table t, id=2, column d: '0000-00-00' is no day" in str(records[1].error)


async def test_a_moment_with_an_offset_is_loaded_in_utc_and_a_zero_stays_a_zero(sql, loading):
    await sql("CREATE TABLE t (id int PRIMARY KEY AUTO_INCREMENT, ts timestamp(6) NULL)")
    async with loading() as opened:
        await opened.load(batch({"id": 0, "ts": "2024-02-29T12:00:00.5+02:00"}))
    assert await sql("SELECT id, unix_timestamp(ts) FROM t") == [(0, Decimal("1709200800.5"))]


@pytest.mark.parametrize("key", ["enum('b','a','c')", "varchar(9)", "float", "bit(9)", "blob"])
async def test_a_table_is_read_whole_by_a_key_of_any_type(sql, reading, key):
    values = {"e": "('a'), ('b'), ('c'), ('a'), (NULL)", "v": "('a'), ('A'), ('b'), ('a '), (NULL)"}
    numbers = "(0.1), (0.2), (5), (0.1), (NULL)" if key == "float" else "(1), (2), (300), (1), (NULL)"
    await sql(f"CREATE TABLE t (k {key})", f"INSERT INTO t VALUES {values.get(key[0], numbers)}")
    async with reading("t", key="k") as source:
        whole = (await source.read(None, 10)).records
        found = await read_through(source, 1)
    assert (len(whole), found) == (5, whole)


async def test_an_upsert_updates_by_its_key_and_by_no_other_unique_index(sql, loading):
    await sql("CREATE TABLE t (id int PRIMARY KEY, mail varchar(20) UNIQUE, n int)")
    await sql("INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2)")
    async with loading(mode="upsert", key=["id"]) as opened:
        rows = [{"id": 1, "mail": "c", "n": 5}, {"id": 3, "mail": "b", "n": 6}, {"id": 4, "mail": "d", "n": 7}]
        result = await opened.load(batch(*rows, {"id": 4, "mail": "e", "n": 8}))
    assert (result.loaded, [row.code for row in result.failed]) == (3, ["constraint"])
    assert await sql("SELECT * FROM t ORDER BY id") == [(1, "c", 5), (2, "b", 2), (4, "e", 8)]


async def test_a_statement_that_commits_leaves_the_ledger_and_the_rows_together(sql, loading, monkeypatch):
    """The batch whose rows fail made the table, and yet it is not in the ledger."""
    from loom_connectors.mysql import dialect

    def lost(*_):
        raise pymysql.OperationalError(2013, "Lost connection")

    with monkeypatch.context() as patched:
        patched.setattr(dialect.MysqlSession, "_insert", lost)
        async with loading(mode="replace") as opened:
            with pytest.raises(DependencyUnavailable):
                await opened.load(batch({"id": 1}))
    assert await sql("SELECT count(*) FROM loom_load_ledger") == [(0,)]
    async with loading(mode="replace") as opened:
        assert await opened.load(batch({"id": 1})) == LoadResult(1)
        assert await opened.finalize(RUN, complete=True) is True
    assert await sql("SELECT * FROM t") == [(1,)]


async def test_a_sample_is_put_in_place_though_the_process_died_after_its_ledger_row(sql, loading):
    async with loading(sample=True) as opened:
        await opened.load(batch({"id": 7}))
    [(staging,)] = await sql("SELECT table_name FROM information_schema.tables WHERE table_name LIKE 't%sample\\_\\_%'")
    await sql(f"INSERT INTO loom_load_ledger_sample VALUES ('{RUN}', 'finalize', 0, '[]', now())")
    async with loading(sample=True) as opened:
        assert await opened.finalize(RUN, complete=True) is True
    assert staging != "t_sample"
    assert await sql("SELECT * FROM t_sample") == [(7,)]


async def test_deadlocks_are_tried_again(sql, loading):
    await sql("CREATE TABLE t (id int PRIMARY KEY, n int)", "INSERT INTO t SELECT seq, 0 FROM seq_1_to_40")
    forth = [{"id": at, "n": 1} for at in range(1, 41)]
    async with loading(mode="upsert", key=["id"]) as one, loading(mode="upsert", key=["id"]) as other:
        loads = [
            (one, other)[at % 2].load(batch(*(forth if at % 2 else forth[::-1]), name=f"b{at}")) for at in range(8)
        ]
        assert await asyncio.gather(*loads) == [LoadResult(40)] * 8


async def test_a_table_without_transactions_and_one_that_may_not_be_written_are_refused(sql, loading, mariadb_url):
    await sql("CREATE TABLE t (id int) ENGINE = MyISAM")
    async with loading() as opened:
        with pytest.raises(DestinationError, match="ENGINE = InnoDB"):
            await opened.check()
    place = urlsplit(mariadb_url)
    name = place.path.strip("/")
    user = f"reader_{name[-8:]}"
    await sql(
        "DROP TABLE t", "CREATE TABLE t (id int)",
        f"CREATE USER {user}@'127.0.0.1' IDENTIFIED BY 'pass-w0rd'", f"GRANT SELECT ON {name}.* TO {user}@'127.0.0.1'",
    )  # fmt: skip
    url = mariadb_url.replace(f"loom:{place.password}@", f"{user}:pass-w0rd@")
    for table, words in (("t", "may not write"), ("u", "may not create")):
        async with loading(table, url=url) as opened:
            with pytest.raises(AccessRefused, match=words):
                await opened.check()
    async with loading(url=url.replace("pass-w0rd", "pass-w1rd")) as opened:
        with pytest.raises(AccessRefused) as raised:
            await opened.check()
    assert "w1rd" not in str(raised.value)
    assert "Access denied" in str(raised.value)
    await sql(f"DROP USER {user}@'127.0.0.1'")


async def test_names_are_quoted_and_values_bound(sql, loading, reading):
    name = "a`; DROP TABLE t; -- %s"
    rows = [{name: "\\'; DROP TABLE t; --", "%": "100%"}, {name: "'' OR 1=1", "%": "%s \\"}]
    async with loading() as opened:
        assert await opened.load(batch(*rows)) == LoadResult(2)
    query = f"SELECT * FROM t WHERE `{name.replace('`', '``')}` = {{{{ x }}}} OR `%` LIKE '100%'"
    async with reading(query=query, key="%", params={"x": "'' OR 1=1"}) as source:
        assert [each.data for each in (await source.read(None, 10)).records] == [rows[1], rows[0]]


async def test_a_slow_query_ends_and_a_server_that_is_away_is_named(reading):
    slow = "SELECT 1 AS id, sleep(20) AS s"
    async with reading(query=slow, key="id", options={"timeouts": {"query": 0.3}}) as source:
        with pytest.raises(Timeout):
            await source.read(None, 1)
    async with reading("t", url="mysql://u:secret@127.0.0.1:1/d") as source:
        with pytest.raises(DependencyUnavailable) as raised:
            await source.check()
    assert "mysql://127.0.0.1:1/d" in str(raised.value)
    assert "secret" not in str(raised.value)


async def test_many_rows_are_sent_in_statements_that_the_server_takes(sql, loading):
    await sql("CREATE TABLE t (id int, x longtext)")
    async with loading(options={"timeouts": {"load": 60}}) as opened:
        assert await opened.load(batch(*({"id": at, "x": "x" * 2**21} for at in range(6)))) == LoadResult(6)
    assert await sql("SELECT count(*), min(length(x)) FROM t") == [(6, 2**21)]
