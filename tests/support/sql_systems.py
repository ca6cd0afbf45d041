"""Describes SQL systems as a test sees them beside Loom's connector: what lies in a database, and tables that somebody
else made.

A new system is one more entry of `SQL_SYSTEMS`: every conformance suite of SQL destinations then runs against it,
unless it is slow (`SNOWFLAKE` and `MSSQL` in `support.destinations`)."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import duckdb
import pymysql

from loom_dev.emulators.mssql import asked as asked_by_tds
from loom_dev.emulators.snowflake import asked
from loom_dev.waiting import within

Statement = Callable[[str, str], Awaitable[Sequence[Sequence[Any]]]]
"""Runs a statement in the database of a URL. Returns the rows of a query."""


TABLE = "CREATE TABLE scores (id integer PRIMARY KEY, text text NOT NULL, CHECK (id < 1000))"


@dataclass(frozen=True)
class SqlSystem:
    """Represents one SQL system."""

    location: str
    """`load.destination` of its table `scores`; `${DB}` is the URL of the test's own database."""
    server: str | None
    """The fixture that gives this URL; None where the database is a file in the folder `out` of the test."""
    run: Statement
    """Runs by the system's own driver; `url` is a path where the database is a file."""
    tables: str = "SELECT table_name FROM information_schema.tables"
    """The query for the names of all tables."""
    table: str = TABLE
    """The statement that makes the table `scores`, which takes ids below 1000, and no row without a text."""
    too_great: str = "constraint"
    """The code of a row that is refused because its id is too great."""


async def in_postgres(url: str, sql: str) -> Sequence[Sequence[Any]]:
    connection = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await connection.fetch(sql)]
    finally:
        await connection.close()


async def in_mysql(url: str, sql: str) -> Sequence[Sequence[Any]]:
    def run() -> Sequence[Sequence[Any]]:
        place = urlsplit(url)
        with closing(
            pymysql.connect(
                host="127.0.0.1", port=place.port or 3306, user=place.username, password=place.password or "",
                database=place.path.strip("/"), autocommit=True, ssl_disabled=True,
            )
        ) as db, db.cursor() as cursor:  # fmt: skip
            cursor.execute(sql)
            return cursor.fetchall()

    return await asyncio.to_thread(run)


async def in_duckdb(path: str, sql: str) -> Sequence[Sequence[Any]]:
    """Wait while the connector, which closes the file once it is idle, has it open."""

    def run() -> Sequence[Sequence[Any]]:
        with closing(duckdb.connect(path)) as db:
            return db.execute(sql).fetchall()

    async with within(10):
        while True:
            try:
                return await asyncio.to_thread(run)
            except (duckdb.ConnectionException, duckdb.IOException):
                await asyncio.sleep(0.02)


async def in_sqlite(path: str, sql: str) -> Sequence[Sequence[Any]]:
    def run() -> Sequence[Sequence[Any]]:
        with closing(sqlite3.connect(path)) as db, db:
            return db.execute(sql).fetchall()

    return await asyncio.to_thread(run)


async def in_snowflake(url: str, sql: str) -> Sequence[Sequence[Any]]:
    """Run by the emulator's own driver. Names without quotes are in capital letters there."""
    return await asyncio.to_thread(asked, url, sql)


async def in_mssql(url: str, sql: str) -> Sequence[Sequence[Any]]:
    return await asyncio.to_thread(asked_by_tds, url, sql)


SQL_SYSTEMS = (
    SqlSystem("sqlite:///out/scores.db?table=scores", None, in_sqlite, "SELECT name FROM sqlite_schema"),
    SqlSystem("duckdb:///out/scores.duckdb?table=scores", None, in_duckdb),
    SqlSystem("${DB}?table=scores", "postgres_url", in_postgres),
    SqlSystem(
        "${MARIADB}?table=scores",
        "mariadb_url",
        in_mysql,
        "SELECT table_name FROM information_schema.tables WHERE table_schema = database()",
    ),
    SqlSystem(
        "${MSSQL}&table=scores",
        "mssql_url",
        in_mssql,
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'",
        table="CREATE TABLE scores (id int PRIMARY KEY, text nvarchar(max) NOT NULL, CHECK (id < 1000))",
    ),
    SqlSystem(
        "${SNOWFLAKE}&table=scores",
        "snowflake_url",
        in_snowflake,
        "SELECT lower(table_name) FROM information_schema.tables WHERE table_schema = current_schema()",
        table="CREATE TABLE scores (id number(3,0), text varchar NOT NULL)",
        too_great="type",
    ),
)


@dataclass(frozen=True)
class Database:
    """Represents the database of one test."""

    system: SqlSystem
    url: str

    @staticmethod
    def of(system: SqlSystem, folder: Path, url: str) -> Database:
        """Open the database at `url`; a file's is made of its location."""
        path = folder / system.location.partition(":///")[2].partition("?")[0]
        return Database(system, url or str(path))

    async def run(self, sql: str) -> Sequence[Sequence[Any]]:
        """Run a statement."""
        return await self.system.run(self.url, sql)

    async def tables(self) -> list[str]:
        """Return the names of all tables; none where the file of the database is not there."""
        if self.system.server is None and not await asyncio.to_thread(Path(self.url).exists):
            return []
        return [name for (name,) in await self.run(self.system.tables)]

    async def rows(self) -> list[dict[str, Any]]:
        """Return the rows of the table `scores` by their ids; none where it is not there."""
        if "scores" not in await self.tables():
            return []
        found = await self.run("SELECT id, text FROM scores ORDER BY id")
        return [{"id": int(number), "text": text} for number, text in found]

    async def make_table(self, sql: str) -> None:
        """The table, made by somebody else before Loom comes."""
        if self.system.server is None:
            await asyncio.to_thread(Path(self.url).parent.mkdir, exist_ok=True)
        await self.run(sql)
