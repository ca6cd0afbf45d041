"""Tests what is peculiar to Snowflake: its types there and back, what it would change without a word, who may log in,
and what a person is told."""

from __future__ import annotations

import asyncio
import threading

import pytest
import snowflake.connector as driver
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from loom_common.domain.incremental.window import Point
from loom_common.errors import AccessRefused, ConfigurationError, DestinationError, PathNotAllowed, SourceError
from loom_connectors.snowflake.statements import turned
from loom_dev.waiting import within
from support.load_batches import batch
from support.sql_systems import in_snowflake
from support.sql_tables import (
    HALVES,
    READ_ONCE,
    each_record_is_read_once,
    opening,
    values_come_back,
    what_would_change_is_refused,
)

AT_TEN = "2026-03-01T10:00:00+00:00"
NAMES = ["01", "02", "03", "04"]
TABLE = (
    "CREATE TABLE t (id number(38,0), n number(20,5), f float, b boolean, v varchar(5), d date, tm time, "
    'ntz timestamp_ntz, tz timestamp_tz, doc variant, bin binary, "Mixed" varchar)'
)
VALUES = {
    "id": 2**62, "n": "-12.50000", "f": 0.1, "b": False, "v": "ü\n'\"",
    "d": "2024-02-29", "tm": "23:59:59.5", "ntz": "2024-02-29T12:00:00.000001", "tz": "2024-02-29T10:00:00+00:00",
    "doc": {"a": [1, None, "x"]}, "bin": {"$bytes": "00ff"}, "Mixed": "é",
}  # fmt: skip
REFUSED = {
    "n": ("0.000001", "digits after the point"),
    "id": (10**38, "more digits"),
    "f": ("seven", "no number"),
    "b": ("perhaps", "no boolean"),
    "v": ("123456", "characters"),
    "d": ("2024-02-30", "no day"),
    "tm": ("25:00:00", "no time"),
    "ntz": ("2024-02-29T12:00:00+02:00", "offset"),
    "tz": ("soon", "no moment"),
    "doc": ({"n": 10**38}, "38 digits"),
    "bin": ("text", "bytes"),
}


@pytest.fixture
def opened(snowflake_url, tmp_path):
    """Provide what opens the table `t`, or a query, as a source or a destination."""
    return opening(snowflake_url, tmp_path)


async def test_values_are_the_same_there_and_back(opened, snowflake_url):
    await in_snowflake(snowflake_url, TABLE)
    await values_come_back(opened, VALUES)


async def test_what_snowflake_would_change_is_refused(opened, snowflake_url):
    await in_snowflake(snowflake_url, TABLE)
    await what_would_change_is_refused(opened, REFUSED)


async def test_every_type_is_a_key_by_which_pages_are_read(opened, snowflake_url):
    await in_snowflake(snowflake_url, TABLE)
    async with opened() as destination:
        await destination.load(batch(VALUES, {**VALUES, "v": "other"}))
    for name in VALUES:
        query = "SELECT v FROM t" if name == "v" else f'SELECT "{turned(name)}", v FROM t'
        async with opened(key=name, query=query) as source:
            first = await source.read(None, 1)
            second = await source.read(first.cursor, 1)
            last = await source.read(second.cursor, 1)
        found = [each.data["v"] for page in (first, second, last) for each in page.records]
        assert sorted(found) == sorted([VALUES["v"], "other"]), name


@pytest.mark.parametrize("extract", READ_ONCE.values(), ids=READ_ONCE)
async def test_every_record_is_read_once_from_every_cursor_and_in_pieces(opened, snowflake_url, extract):
    await in_snowflake(snowflake_url, "CREATE TABLE t (id integer, half integer)")
    await in_snowflake(snowflake_url, f"INSERT INTO t VALUES {HALVES}")
    await each_record_is_read_once(opened, extract)


async def test_a_read_that_is_cancelled_leaves_no_session(opened, snowflake_url, monkeypatch):
    sessions, closed = [], []
    connect = driver.connect

    def connecting(**settings):
        sessions.append(connect(**settings))
        reading.set()
        return sessions[-1]

    await in_snowflake(snowflake_url, "CREATE TABLE t (id integer)")
    reading = threading.Event()
    monkeypatch.setattr(driver, "connect", connecting)
    monkeypatch.setattr(driver.SnowflakeConnection, "close", lambda connection, **_: closed.append(connection))
    async with opened(key="id") as source:
        task = asyncio.create_task(source.read(None, 1))
        await asyncio.to_thread(reading.wait, 20)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    async with within(20):
        while len(closed) < 1:
            await asyncio.sleep(0.01)
    assert closed == sessions


MARKS = {
    "n": ("number", "5", ("4.99999", "5.00000", "9")),
    "id": ("number", "5", (4, 5, 9)),
    "f": ("number", "5", (4.9, 5.0, 9.5)),
    "d": ("time", AT_TEN, ("2026-02-28", "2026-03-01", "2026-03-02")),
    "ntz": ("time", AT_TEN, ("2026-03-01T10:59:59.9", "2026-03-01T11:00:00", "2026-03-02")),
    "tz": ("time", AT_TEN, ("2026-03-01T10:59:59.9+01:00", "2026-03-01T12:00:00+02:00", "2027-01-01T00:00:00Z")),
    "v": ("number", "5", ("4", "5", "9")),
}


async def test_rows_below_the_mark_are_left_out_by_each_type_that_sorts_as_it_does(opened, snowflake_url):
    await in_snowflake(snowflake_url, TABLE)
    columns = zip(*(values for _, _, values in MARKS.values()), strict=True)
    async with opened() as destination:
        rows = [
            {**dict(zip(MARKS, each, strict=True)), "bin": {"$bytes": name}}
            for each, name in zip(columns, NAMES[:3], strict=True)
        ]
        assert (await destination.load(batch(*rows, {"bin": {"$bytes": NAMES[3]}}))).loaded == 4
    for name, (kind, text, _) in MARKS.items():
        incremental = {"column": name, "zone": "Europe/Berlin"}
        query = f"SELECT {name}, bin FROM t"
        start = Point(kind=kind, text=text)
        async with opened(key="bin", query=query, incremental=incremental, start=start) as source:
            page = await source.read(None, 10)
            words = await source.starts_by()
        found = [record.data["bin"]["$bytes"] for record in page.records]
        whole = name == "v"
        assert (found, words) == (NAMES, None) if whole else (NAMES[1:], f"{name} >= the mark"), name


async def test_who_may_log_in_and_what_is_told(snowflake, opened):
    schema = snowflake.schema().partition("?")[0].rpartition("/")[2]
    for url, error, words in (
        (snowflake.url_of(schema, password="wrong"), AccessRefused, "Incorrect username or password"),
        (snowflake.url_of(schema, account="nobody"), SourceError, "no Snowflake account 'nobody'"),
        (f"{snowflake.url_of(schema)}&warehouse=asleep", SourceError, "Resume the warehouse 'asleep'"),
        (snowflake.url_of(schema), SourceError, "T does not exist. Correct the name"),
    ):
        async with opened(url=url, key="id") as source:
            with pytest.raises(error, match=words) as found:
                await source.check() if "asleep" not in url else await source.count()
        assert snowflake.password not in str(found.value)
    url = f"{snowflake.url_of(schema)}&warehose=x"
    with pytest.raises(ConfigurationError, match=r"unknown setting 'warehose'\. Did you mean 'warehouse'"):
        async with opened(url=url, key="id"):
            pass


async def test_a_key_pair_stands_for_the_password(snowflake, opened, tmp_path):
    pair = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = pair.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    private = tmp_path / "user.p8"
    pem = pair.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"phrase")
    )
    await asyncio.to_thread(snowflake.public_key.write_bytes, public)
    await asyncio.to_thread(private.write_bytes, pem)
    url = snowflake.schema().replace(f":{snowflake.password}", "")
    await in_snowflake(snowflake.url, "SELECT 1")
    async with opened(url=f"{url}&private_key_file=user.p8&private_key_passphrase=phrase") as destination:
        await destination.check()
        assert (await destination.load(batch({"id": 1}))).loaded == 1
    other = f"{url}&private_key_file={private}&private_key_passphrase=wrong"
    async with opened(url=other) as destination:
        with pytest.raises(ConfigurationError, match="private key cannot be used"):
            await destination.check()
    with pytest.raises(PathNotAllowed, match="outside of the project"):
        async with opened(url=f"{url}&private_key_file=../user.p8"):
            pass


async def test_a_ledger_without_the_row_that_is_locked_takes_nothing(opened, snowflake_url):
    async with opened() as destination:
        await destination.load(batch({"id": 1}))
    await in_snowflake(snowflake_url, "DELETE FROM loom_load_ledger WHERE batch_id = 'lock'")
    async with opened() as destination:
        with pytest.raises(DestinationError, match="lacks the row that is locked"):
            await destination.load(batch({"id": 2}))


@pytest.mark.parametrize(
    ("name", "there"), [("id", "ID"), ("ID", "id"), ("createdAt", "createdAt"), ("_1", "_1"), ("a b", "a b")]
)
def test_a_name_in_small_letters_is_one_in_capital_letters_there(name, there):
    assert (turned(name), turned(there)) == (there, name)
