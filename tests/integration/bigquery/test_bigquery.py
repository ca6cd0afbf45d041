"""Tests BigQuery as a source and as a destination against an emulator: values there and back, what it would change
without a word, each batch once, and what a person is told."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from loom_common.config.credentials import Credentials
from loom_common.config.secrets.environment import EnvProvider
from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.definition.load import LoadConfig
from loom_common.domain.incremental.window import Point
from loom_common.errors import ConfigurationError, DestinationError, SourceError
from loom_connectors.bigquery import dialect
from loom_connectors.bigquery.address import Address
from loom_connectors.bigquery.server import Server
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.destination import LoadBatch, Row
from loom_connectors.registry import open_destination, open_source
from loom_connectors.sql.parameters import WarehouseTimeouts
from support.sql_tables import HALVES, READ_ONCE, each_record_is_read_once

TABLE = (
    "CREATE TABLE t (id INT64, n NUMERIC, f FLOAT64, b BOOL, v STRING, d DATE, tm TIME, dt DATETIME, ts TIMESTAMP, "
    "bin BYTES)"
)
VALUES = {
    "id": 2**62, "n": "-12.5", "f": 0.1, "b": False, "v": "ü\n'\"`\\ @loom_1", "d": "2024-02-29", "tm": "23:59:59.5",
    "dt": "2024-02-29T12:00:00.000001", "ts": "2024-02-29T10:00:00+00:00", "bin": {"$bytes": "00ff"},
}  # fmt: skip
REFUSED = {
    "id": (2**63, "64 bits"),
    "n": ("0.0000000001", "digits after the point"),
    "f": ("seven", "no number"),
    "b": ("perhaps", "no boolean"),
    "d": ("2024-02-30", "no day"),
    "tm": ("25:00:00", "no time"),
    "dt": ("2024-02-29T12:00:00+02:00", "offset"),
    "ts": ("soon", "no moment"),
    "bin": ("text", "bytes"),
}


def batch(number, *rows, run="run_1"):
    made = [Row(f"r{number}.{at}", values) for at, values in enumerate(rows)]
    return LoadBatch(run_id=run, batch_id=f"{run}-{number}", partition=0, slice=0, position=number, rows=made)


def asked(url, sql):
    """Run a statement beside the connector; return the rows of a query."""
    context = ConnectorContext(Path(), Credentials({}))
    server = Server(Address.of(url, context), WarehouseTimeouts(), SourceError)
    try:
        return [tuple(row) for row in server.run(sql, seconds=60).rows]
    finally:
        server.close()


@pytest.fixture
def opened(bigquery_url, tmp_path):
    """Provide what opens the table `t`, or a query, as a source or a destination."""

    @asynccontextmanager
    async def open_one(*, url=bigquery_url, start=None, contract=None, **config):
        context = ConnectorContext(tmp_path, Credentials({"env": EnvProvider({"URL": url})}), start=start)
        if "query" in config or ("key" in config and "mode" not in config):
            source = "${URL}" if "query" in config else "${URL}&table=t"
            found = open_source(ExtractConfig(source=source, **config), context)
        else:
            found = open_destination(LoadConfig(destination="${URL}&table=t", schema=contract, **config), context)
        try:
            yield found
        finally:
            await found.close()

    return open_one


async def test_values_are_the_same_there_and_back(opened, bigquery_url):
    asked(bigquery_url, TABLE)
    async with opened() as destination:
        await destination.check()
        result = await destination.load(batch(0, VALUES, {"id": 1}))
    assert (result.loaded, result.failed) == (2, ())
    async with opened(key="id") as source:
        page = await source.read(None, 10)
    assert [each.data for each in page.records] == [dict.fromkeys(VALUES) | {"id": 1}, VALUES]


async def test_what_bigquery_would_change_is_refused(opened, bigquery_url):
    asked(bigquery_url, TABLE)
    rows = [{"id": 1, name: value} for name, (value, _) in REFUSED.items()]
    async with opened() as destination:
        result = await destination.load(batch(0, *rows, {"id": 99}))
    assert result.loaded == 1
    for (name, (_, words)), row in zip(REFUSED.items(), result.failed, strict=True):
        assert (row.code, f"column {name}" in row.reason, words in row.reason) == ("type", True, True), row


async def test_a_batch_that_comes_again_changes_nothing(opened, bigquery_url):
    rows = [{"id": 1, "text": "a"}, {"id": "x", "text": "b"}, {"id": 2, "text": "c"}]
    async with opened(mode="append") as destination:
        await destination.load(batch(0, {"id": 0, "text": "-"}))
        first = await destination.load(batch(1, *rows))
    async with opened(mode="append") as destination:
        again = await destination.load(batch(1, *rows))
        other = await destination.load(batch(2, {"id": 3, "text": "d"}))
    assert (first.loaded, [each.record_id for each in first.failed]) == (2, ["r1.1"])
    assert (again, other.loaded) == (first, 1)
    assert asked(bigquery_url, "SELECT id FROM t ORDER BY id") == [(0,), (1,), (2,), (3,)]


async def test_loads_of_one_batch_at_the_same_time_load_it_once(opened, bigquery_url):
    async with opened(mode="append") as destination:
        await destination.load(batch(0, {"id": 0}))

    async def load():
        async with opened(mode="append") as destination:
            return await destination.load(batch(1, {"id": 1}, {"id": 2}))

    results = await asyncio.gather(*(load() for _ in range(4)))
    assert {each.loaded for each in results} == {2}
    assert asked(bigquery_url, "SELECT id FROM t ORDER BY id") == [(0,), (1,), (2,)]


async def test_rows_with_a_key_are_updated_and_the_last_of_a_key_counts(opened, bigquery_url):
    async with opened(mode="upsert", key=["id"]) as destination:
        await destination.load(batch(0, {"id": 1, "text": "a"}, {"id": 2, "text": "b"}, {"id": 1, "text": "c"}))
        await destination.load(batch(1, {"id": 2, "text": "d"}, {"id": 3, "text": "e"}))
    assert asked(bigquery_url, "SELECT id, text FROM t ORDER BY id") == [(1, "c"), (2, "d"), (3, "e")]


async def test_a_run_that_replaces_shows_its_rows_at_its_end(opened, bigquery_url):
    async with opened(mode="append") as destination:
        await destination.load(batch(0, {"id": 1, "text": "old"}, run="run_0"))
    async with opened(mode="replace") as destination:
        await destination.load(batch(0, {"id": 2, "text": "new"}))
        assert asked(bigquery_url, "SELECT id FROM t") == [(1,)]
        assert await destination.finalize("run_1", complete=True)
        assert await destination.finalize("run_1", complete=True)
    assert asked(bigquery_url, "SELECT id, text FROM t") == [(2, "new")]
    async with opened(mode="replace") as destination:
        await destination.load(batch(0, {"id": 3, "text": "lost"}, run="run_2"))
        assert not await destination.drop("run_2")
    assert asked(bigquery_url, "SELECT id, text FROM t") == [(2, "new")]


async def test_a_column_that_is_new_is_added_where_it_may_be(opened, bigquery_url):
    async with opened(mode="append", contract="auto") as destination:
        await destination.load(batch(0, {"id": 1}))
        await destination.load(batch(1, {"id": 2, "more": "x"}))
    assert asked(bigquery_url, "SELECT id, more FROM t ORDER BY id") == [(1, None), (2, "x")]
    async with opened(mode="append", url=bigquery_url) as destination:
        with pytest.raises(DestinationError, match="no column 'other'"):
            await destination.load(batch(2, {"id": 3, "other": 1}))


async def test_rows_too_many_for_a_script_are_staged_and_no_stage_is_left(opened, bigquery_url, monkeypatch):
    monkeypatch.setattr(dialect, "_SCRIPT", 200)
    rows = [{"id": number, "text": f"row {number} " + "x" * 50} for number in range(12)]
    async with opened(mode="upsert", key=["id"]) as destination:
        assert (await destination.load(batch(0, *rows))).loaded == 12
        assert (await destination.load(batch(0, *rows))).loaded == 12
    found = asked(bigquery_url, "SELECT id, text FROM t ORDER BY id")
    assert found == [(row["id"], row["text"]) for row in rows]


@pytest.mark.parametrize("extract", READ_ONCE.values(), ids=READ_ONCE)
async def test_every_record_is_read_once_from_every_cursor_and_in_pieces(opened, bigquery_url, extract):
    asked(bigquery_url, "CREATE TABLE t (id INT64, half INT64)")
    asked(bigquery_url, f"INSERT INTO t (id, half) VALUES {HALVES}")
    await each_record_is_read_once(opened, extract)


async def test_every_type_is_a_key_by_which_pages_are_read(opened, bigquery_url):
    asked(bigquery_url, TABLE)
    async with opened() as destination:
        await destination.load(batch(0, VALUES, {**VALUES, "v": "other"}))
    for name in VALUES:
        query = "SELECT v FROM t" if name == "v" else f"SELECT {name}, v FROM t"
        async with opened(key=name, query=query) as source:
            first = await source.read(None, 1)
            second = await source.read(first.cursor, 1)
            last = await source.read(second.cursor, 1)
        found = [each.data["v"] for page in (first, second, last) for each in page.records]
        assert sorted(found) == sorted([VALUES["v"], "other"]), name


async def test_rows_below_the_mark_are_left_out(opened, bigquery_url):
    asked(bigquery_url, "CREATE TABLE t (id INT64, ts TIMESTAMP)")
    rows = "(1, TIMESTAMP '2026-03-01 09:59:59+00'), (2, TIMESTAMP '2026-03-01 10:00:00+00')"
    asked(bigquery_url, f"INSERT INTO t (id, ts) VALUES {rows}")
    start = Point(kind="time", text="2026-03-01T10:00:00+00:00")
    incremental = {"column": "ts", "zone": "UTC"}
    async with opened(key="id", query="SELECT * FROM t", incremental=incremental, start=start) as source:
        assert await source.starts_by() == "ts >= the mark"
        assert [each.data["id"] for each in (await source.read(None, 10)).records] == [2]


async def test_what_is_told(opened, bigquery_url, bigquery):
    async with opened(key="id") as source:
        with pytest.raises(SourceError, match=r"t was not found.*Correct the name"):
            await source.check()
    elsewhere = bigquery_url.partition("?")[0].rpartition("/")[0] + f"/nowhere?endpoint={bigquery.url}"
    async with opened(url=elsewhere) as destination:
        with pytest.raises(DestinationError, match="Correct the name"):
            await destination.check()
    with pytest.raises(ConfigurationError, match=r"unknown setting 'tabel'\. Did you mean 'table'"):
        async with opened(url=f"{bigquery_url}&tabel=x"):
            pass


async def test_a_ledger_without_the_row_that_is_updated_takes_nothing(opened, bigquery_url):
    async with opened() as destination:
        await destination.load(batch(0, {"id": 1}))
    asked(bigquery_url, "DELETE FROM loom_load_ledger WHERE batch_id = 'lock'")
    async with opened() as destination:
        with pytest.raises(DestinationError, match="lacks the row that is updated"):
            await destination.load(batch(1, {"id": 2}))
