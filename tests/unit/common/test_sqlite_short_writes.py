"""Tests that short writes to SQLite are carried out by the event loop, and those that would wait by the connection's
thread."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from loom_ai.stores.sql.sqlite import sqlite_engine
from loom_common.async_engine import AsyncEngine
from loom_common.bulk_insert import BulkInsert
from loom_common.sqlite.short_writes import ShortWritesConnection
from loom_dev.waiting import within

LETTERS = sa.Table("letters", sa.MetaData(), sa.Column("letter", sa.Text, unique=True), sa.Column("page", sa.Integer))
INSERT = BulkInsert(LETTERS.insert(), ["letter", "page"])


@pytest.fixture
def in_thread(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return the steps that go to the thread of a connection, as they do."""
    steps: list[Any] = []
    go = ShortWritesConnection._in_thread

    async def noted(connection: ShortWritesConnection, step: Any) -> Any:
        steps.append(step)
        return await go(connection, step)

    monkeypatch.setattr(ShortWritesConnection, "_in_thread", noted)
    return steps


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return how many milliseconds each attempt at a step may wait for other connections, as it is made."""
    found: list[int] = []
    made = ShortWritesConnection._step

    def noting(connection: ShortWritesConnection, work: Any) -> Any:
        step = made(connection, work)

        def noted() -> Any:
            found.extend(connection._conn.execute("PRAGMA busy_timeout").fetchone())
            return step()

        return noted

    monkeypatch.setattr(ShortWritesConnection, "_step", noting)
    return found


@asynccontextmanager
async def engine_on(path: Path) -> AsyncIterator[AsyncEngine]:
    """Give an engine with one connection, whose first writes, which go to the thread, are done."""
    engine = sqlite_engine(path)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(LETTERS.metadata.create_all)
        for number in range(2):
            await write(engine, f"first {number}")
        yield engine
    finally:
        await engine.dispose()


async def write(engine: AsyncEngine, *letters: str, short: bool = True) -> None:
    await engine.insert_many(INSERT, [{"letter": each, "page": 1} for each in letters], short=short)


async def written(engine: AsyncEngine) -> list[str]:
    found = [row.letter for row in await engine.fetch(sa.select(LETTERS))]
    return [each for each in found if not each.startswith("first")]


async def test_a_short_write_is_carried_out_by_the_event_loop(tmp_path: Path, in_thread: list[Any]) -> None:
    async with engine_on(tmp_path / "file.db") as engine:
        in_thread.clear()
        await write(engine, "a", "b")
        assert in_thread == []
        with closing(sqlite3.connect(tmp_path / "file.db")) as another:  # which sees what was committed
            assert another.execute("SELECT count(*) FROM letters").fetchone() == (4,)
        await write(engine, "c", short=False)
        assert len(in_thread) == 1
        assert await written(engine) == ["a", "b", "c"]


async def test_while_another_connection_writes_the_thread_waits_for_it_and_not_the_event_loop(
    tmp_path: Path, in_thread: list[Any], patience: list[int]
) -> None:
    async with engine_on(tmp_path / "file.db") as engine:
        in_thread.clear()
        patience.clear()
        with closing(sqlite3.connect(tmp_path / "file.db", isolation_level=None)) as another:
            another.execute("BEGIN IMMEDIATE")
            async with within(20):
                writing = asyncio.create_task(write(engine, "a"))
                while not in_thread:
                    await asyncio.sleep(0)
                assert not writing.done()
                another.execute("INSERT INTO letters VALUES ('another', 1)")
                another.execute("COMMIT")
                await writing
        assert patience == [0, 10_000]
        await write(engine, "b")
        assert len(in_thread) == 1
        assert await written(engine) == ["another", "a", "b"]


async def test_of_a_short_write_that_fails_nothing_is_kept(tmp_path: Path, in_thread: list[Any]) -> None:
    async with engine_on(tmp_path / "file.db") as engine:
        in_thread.clear()
        with pytest.raises(sa.exc.IntegrityError):
            await write(engine, "a", "a")
        assert await written(engine) == []
        await write(engine, "b")
        assert await written(engine) == ["b"]


async def test_a_file_without_a_log_is_written_by_the_thread(tmp_path: Path, in_thread: list[Any]) -> None:
    async with engine_on(tmp_path / "file.db") as engine:
        async with engine.connect() as connection:
            raw = (await connection.get_raw_connection()).driver_connection
            assert isinstance(raw, ShortWritesConnection)
            raw.is_logged = False
        in_thread.clear()
        await write(engine, "a")
        assert len(in_thread) == 1


async def test_the_log_is_moved_into_the_file_by_the_thread(tmp_path: Path, in_thread: list[Any]) -> None:
    async with engine_on(tmp_path / "file.db") as engine:
        in_thread.clear()
        for number in range(500):
            await write(engine, f"{number} {'a' * 40_000}")
        assert len(in_thread) == 10  # two of each hundred
        assert (tmp_path / "file.db-wal").stat().st_size < 12_000_000  # of 20 MB


async def test_what_outlives_a_power_cut_is_written_by_the_thread(tmp_path: Path) -> None:
    engine = sqlite_engine(tmp_path / "file.db", survives_power_cuts=True)
    try:
        async with engine.connect() as connection:
            raw = (await connection.get_raw_connection()).driver_connection
            assert not isinstance(raw, ShortWritesConnection)
    finally:
        await engine.dispose()
