"""Tests that Postgres and MariaDB are asked only for the rows from a mark on, so that an index is usable."""

from __future__ import annotations

import asyncpg
import pytest

from loom_common.config.credentials import Credentials
from loom_common.config.secrets.environment import EnvProvider
from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.incremental.window import Point
from loom_connectors.mysql.reading import mark_column
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.postgres import values as postgres_values
from loom_connectors.registry import open_source
from loom_connectors.sql.reading.mark import narrowed
from loom_connectors.sql.reading.source_dialect import ReadColumn
from support.pieces import read_through
from support.sql_systems import in_mysql

AT_TEN = Point(kind="time", text="2026-03-01T10:00:00+00:00")
FIVE = Point(kind="number", text="5")


async def read(folder, url, start):
    config = ExtractConfig(source="${DB}?table=t", key="id", incremental={"column": "at", "zone": "Europe/Berlin"})
    context = ConnectorContext(folder, Credentials({"env": EnvProvider({"DB": url})}), start=start)
    source = open_source(config, context)
    records = await read_through(source, 2)
    assert not [record.error for record in records if record.error]
    ids = [record.data["id"] for record in records]
    words = await source.starts_by()
    for piece in await source.split(2):
        assert {record.data["id"] for record in (await source.read(piece.start, 9, piece.until)).records} <= {*ids}
    await source.close()
    return ids, words


NUMBERS = [
    ("integer", ["1", "5", "9"]),
    ("numeric(6,2)", ["4.99", "5.00", "9"]),
    ("double precision", ["4.9", "5", "9"]),
]
DAYS = ("date", ["'2026-02-01'", "'2026-03-01'", "'2026-03-02'"])
CLOCK = ["'2026-03-01 10:59:59.9'", "'2026-03-01 11:00:00'", "'2026-03-02'"]
UTC = ["'2026-03-01 09:59:59.9'", "'2026-03-01 10:00:00'", "'2026-03-02'"]
ZONED = ["'2026-03-01 10:59:59.9+01'", "'2026-03-01 12:00:00+02'", "'infinity'"]


@pytest.mark.parametrize(
    ("kind", "values"), [*NUMBERS, ("real", ["0.7", "5", "9"]), DAYS, ("timestamp", CLOCK), ("timestamptz", ZONED)]
)
async def test_postgres_leaves_out_older_rows(kind, values, tmp_path, postgres_url):
    connection = await asyncpg.connect(postgres_url)
    await connection.execute(f"CREATE TABLE t (id integer PRIMARY KEY, at {kind})")
    rows = ", ".join(f"({number}, {value})" for number, value in enumerate([*values, "NULL"], 1))
    await connection.execute(f"INSERT INTO t VALUES {rows}")
    await connection.close()
    start = FIVE if values[1].startswith("5") else AT_TEN
    assert await read(tmp_path, postgres_url, start) == ([2, 3, 4], "at >= the mark")


async def test_postgres_finds_the_rows_by_an_index(tmp_path, postgres_url):
    connection = await asyncpg.connect(postgres_url)
    await connection.execute("CREATE TABLE t (id integer PRIMARY KEY, at timestamptz)")
    moments = "'2026-01-01'::timestamptz + n * interval '1 s'"
    await connection.execute(f"INSERT INTO t SELECT n, {moments} FROM generate_series(1, 20000) n")
    await connection.execute("CREATE INDEX by_at ON t (at)")
    await connection.execute("ANALYZE t")
    statement = await connection.prepare("SELECT * FROM t")
    column = postgres_values.mark_column(
        (await postgres_values.columns_of(connection, statement.get_attributes()))["at"]
    )
    sql = narrowed("SELECT * FROM t", column, "$1")
    plan = await connection.fetch(f"EXPLAIN {sql}", "2026-01-01T05:33:00+00:00")
    await connection.close()
    assert "by_at" in str(plan)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        *NUMBERS, ("float", ["0.7", "5", "9"]), DAYS, ("datetime(1)", CLOCK), ("timestamp(1) NULL", UTC),
        ("bigint unsigned", ["1", "5", "18446744073709551615"]),
    ],
)  # fmt: skip
async def test_mariadb_leaves_out_older_rows(kind, values, tmp_path, mariadb_url):
    await in_mysql(mariadb_url, f"CREATE TABLE t (id integer PRIMARY KEY, at {kind})")
    rows = ", ".join(f"({number}, {value})" for number, value in enumerate([*values, "NULL"], 1))
    await in_mysql(mariadb_url, f"SET STATEMENT time_zone = '+00:00' FOR INSERT INTO t VALUES {rows}")
    start = FIVE if values[1].startswith("5") else AT_TEN
    assert await read(tmp_path, mariadb_url, start) == ([2, 3, 4], "at >= the mark")


async def test_mariadb_finds_the_rows_by_an_index(mariadb_url):
    await in_mysql(mariadb_url, "CREATE TABLE t (id integer PRIMARY KEY, at datetime, n bigint)")
    rows = ", ".join(f"({n}, '2026-01-01' + INTERVAL {n} SECOND, {n})" for n in range(2000))
    await in_mysql(mariadb_url, f"INSERT INTO t VALUES {rows}")
    await in_mysql(mariadb_url, "CREATE INDEX by_at ON t (at)")
    await in_mysql(mariadb_url, "CREATE INDEX by_n ON t (n)")
    for name, kind, bound in (("at", "DATETIME", "'2026-01-01 00:33:00'"), ("n", "SIGNED", "1990")):
        column = mark_column(ReadColumn(name, kind, str, None))
        plan = await in_mysql(mariadb_url, f"EXPLAIN {narrowed('SELECT * FROM t', column, bound)}")
        assert f"by_{name}" in {row[5] for row in plan}


async def test_columns_of_text_are_read_whole(tmp_path, postgres_url):
    connection = await asyncpg.connect(postgres_url)
    await connection.execute("CREATE TABLE t (id integer PRIMARY KEY, at text)")
    await connection.execute("INSERT INTO t VALUES (1, '2026-01-01'), (2, NULL)")
    await connection.close()
    assert await read(tmp_path, postgres_url, AT_TEN) == ([1, 2], None)
