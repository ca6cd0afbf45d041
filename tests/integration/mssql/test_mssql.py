"""Tests what is peculiar to SQL Server: its types there and back, what it would change without a word, who may log in,
and what a person is told. The server is an emulator of its protocol, over a database of Postgres."""

from __future__ import annotations

import asyncio

import pytest

from loom_common.config.credentials import Credentials
from loom_common.config.secrets.environment import EnvProvider
from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.incremental.window import Point
from loom_common.errors import (
    AccessRefused,
    ConfigurationError,
    DependencyUnavailable,
    DestinationError,
    SourceError,
)
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.registry import open_source
from support.load_batches import batch
from support.sql_systems import in_mssql
from support.sql_tables import (
    HALVES,
    READ_ONCE,
    each_record_is_read_once,
    opening,
    values_come_back,
    what_would_change_is_refused,
)

AT_TEN = "2026-03-01T10:00:00+00:00"
TABLE = (
    "CREATE TABLE t (id bigint PRIMARY KEY, n decimal(20,5), big decimal(38,0), f float, r real, b bit, v nvarchar(5), "
    "long nvarchar(max), d date, tm time(6), dt datetime2(6), tz datetimeoffset(6), bin varbinary(max), "
    "u uniqueidentifier, doc nvarchar(max) CHECK (ISJSON(N'[' + [doc] + N']') = 1))"
)
VALUES = {
    "id": 2**62, "n": "-12.50000", "big": "9" * 38, "f": 0.1, "r": 0.1, "b": False, "v": "ü\n'\"", "long": "😀" * 3000,
    "d": "2024-02-29", "tm": "23:59:59.5", "dt": "2024-02-29T12:00:00.000001", "tz": "2024-02-29T10:00:00+00:00",
    "bin": {"$bytes": "00ff" * 5000}, "u": "6f9619ff-8b86-d011-b42d-00c04fc964ff", "doc": {"a": [1, None, "x"]},
}  # fmt: skip
REFUSED = {
    "n": ("0.000001", "digits after the point"),
    "big": (10**38, "more digits"),
    "f": ("NaN", "keeps no NaN"),
    "r": (0.1234567890123, "32-bit"),
    "b": ("perhaps", "no boolean"),
    "v": ("12345😀", "7 characters"),
    "d": ("2024-02-30", "no day"),
    "tm": ("25:00:00", "no time"),
    "dt": ("2024-02-29T12:00:00+02:00", "offset"),
    "tz": ("soon", "no moment"),
    "bin": ("text", "bytes"),
    "u": ("one", "no UUID"),
}


@pytest.fixture
def opened(mssql_url, tmp_path):
    """Provide what opens the table `t`, or a query, as a source or a destination."""
    return opening(mssql_url, tmp_path)


async def test_values_are_the_same_there_and_back(opened, mssql_url):
    await in_mssql(mssql_url, TABLE)
    await values_come_back(opened, VALUES)


async def test_what_the_server_would_change_is_refused(opened, mssql_url):
    await in_mssql(mssql_url, TABLE)
    await what_would_change_is_refused(opened, REFUSED)


async def test_every_type_is_a_key_by_which_pages_are_read(opened, mssql_url):
    await in_mssql(mssql_url, TABLE)
    async with opened() as destination:
        await destination.load(batch(VALUES, {**VALUES, "id": 5, "v": "other"}))
    for name in ("n", "f", "b", "v", "tm", "tz", "bin", "u"):
        async with opened(key=name, query=f"SELECT [{name}], v AS shown FROM t") as source:
            first = await source.read(None, 1)
            second = await source.read(first.cursor, 1)
        found = [each.data["shown"] for page in (first, second) for each in page.records]
        assert sorted(found) == sorted([VALUES["v"], "other"]), name


@pytest.mark.parametrize("extract", READ_ONCE.values(), ids=READ_ONCE)
async def test_every_record_is_read_once_from_every_cursor_and_in_pieces(opened, mssql_url, extract):
    await in_mssql(mssql_url, "CREATE TABLE t (id int, half int)")
    await in_mssql(mssql_url, f"INSERT INTO t VALUES {HALVES}")
    await each_record_is_read_once(opened, extract)


async def test_a_database_is_asked_for_what_is_new(opened, mssql_url):
    await in_mssql(mssql_url, "CREATE TABLE t (id int PRIMARY KEY, at datetimeoffset(6), day date, n decimal(10,2))")
    await in_mssql(
        mssql_url,
        "INSERT INTO t VALUES (1, '2026-03-01T09:00:00+00:00', '2026-02-01', 1), "
        "(2, '2026-03-01T12:00:00+02:00', '2026-03-01', 2), (3, NULL, NULL, NULL)",
    )
    start = Point(kind="time", text=AT_TEN)
    for column, first in (("at", start), ("day", start), ("n", Point(kind="number", text="2"))):
        zone = {"zone": "UTC"} if column == "day" else {}
        async with opened(key="id", start=first, incremental={"column": column, **zone}) as source:
            page = await source.read(None, 10)
            assert await source.starts_by() == f"{column} >= the mark"
        assert [each.data["id"] for each in page.records] == [2, 3], column


async def test_what_the_database_fills_in_is_not_written(opened, mssql_url):
    await in_mssql(mssql_url, "CREATE TABLE t (number int IDENTITY(1,1), id int NOT NULL UNIQUE)")
    async with opened(mode="append", include=["number"]) as destination:
        with pytest.raises(DestinationError, match=r"'number' of t cannot be written.*an identity column"):
            await destination.check()
    async with opened(mode="upsert", key=["id"]) as destination:
        await destination.check()
        assert (await destination.load(batch({"id": 7}, {"id": 8}))).loaded == 2
    assert await in_mssql(mssql_url, "SELECT number, id FROM t ORDER BY id") == [(1, 7), (2, 8)]


async def test_transactions_that_wait_for_each_other_are_done_again(opened, mssql_url):
    """Tests batches of two destinations, which insert and update the same keys in one table."""
    async with opened(mode="upsert", key=["id"]) as one, opened(mode="upsert", key=["id"]) as other:
        await one.load(batch({"id": 0, "text": "first"}))
        loads = [
            each.load(batch({"id": at, "text": run}, {"id": 0, "text": run}, name=f"b{at}", run=run))
            for at in range(1, 4)
            for run, each in (("a", one), ("b", other))
        ]
        results = await asyncio.gather(*loads)
    assert [each.failed for each in results] == [()] * 6
    ((rows,),) = await in_mssql(mssql_url, "SELECT COUNT(*) FROM t")
    assert rows == 4


@pytest.mark.parametrize(
    ("url", "error", "words"),
    [
        ("{wrong}?ca={ca}", AccessRefused, "Login failed for user 'loader'. Check the user, its password"),
        ("{base}/nowhere?ca={ca}", SourceError, 'Cannot open database "nowhere" requested by the login'),
        ("{base}/{database}", AccessRefused, "the connection cannot be encrypted .*`[?]ca=server.pem`"),
        ("mssql://u:p@localhost:1/d?ca={ca}", DependencyUnavailable, "cannot be reached"),
    ],
    ids=["password", "database", "certificate", "nobody"],
)
async def test_who_cannot_come_in_is_told_why(opened, mssql_url, url, error, words):
    where, _, ca = mssql_url.partition("?ca=")
    base, _, database = where.rpartition("/")
    wrong = url.format(wrong=where.replace("@localhost", "x@localhost"), base=base, ca=ca, database=database)
    password = mssql_url.partition("//loader:")[2].partition("@")[0]
    async with opened(url=wrong, key="id", query="SELECT 1 AS id") as source:
        with pytest.raises(error, match=words) as raised:
            await source.check()
    assert password not in str(raised.value)


async def test_a_table_that_is_missing_and_a_query_that_is_wrong_are_told(opened):
    async with opened(key="id") as source:
        with pytest.raises(SourceError, match=r"Invalid object name 't'"):
            await source.check()
    async with opened(key="id", query="SELECT id FROM nowhere") as source:
        with pytest.raises(SourceError, match="nowhere"):
            await source.check()
    async with opened(options={"create_table": False}) as destination:
        with pytest.raises(DestinationError, match="has no table t"):
            await destination.check()


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("mssql://u:${P}@host", "names no host or no database"),
        ("mssql://host/d", "no user or no password"),
        ("mssql://u:${P}@host/d?encrypt=no", "unknown setting 'encrypt'"),
        ("mssql://u:${P}@host/d?verify_host=perhaps", "verify_host"),
    ],
)
def test_a_url_that_is_wrong_is_refused_without_its_password(tmp_path, location, words):
    with pytest.raises(ConfigurationError, match=words) as raised:
        context = ConnectorContext(tmp_path, Credentials({"env": EnvProvider({"P": "secret"})}))
        open_source(ExtractConfig(source=location, query="SELECT 1 AS id", key="id"), context)
    assert "secret" not in str(raised.value)
