"""Tests that a connection to SQLite goes to its thread once for each statement, and keeps transactions."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from loom_common.async_engine import AsyncEngine, create_async_engine
from loom_common.sqlite.connection import SqliteConnection
from loom_dev.waiting import within
from loom_migrations.engine import open_engine
from support.letters_in_sqlite import LETTERS, engine_on


class Counting(SqliteConnection):
    """Counts the visits of a connection to the thread."""

    visits = 0

    async def visit(self, work):  # type: ignore[no-untyped-def]
        Counting.visits += 1
        return await super().visit(work)


async def test_a_statement_and_its_rows_are_one_visit(tmp_path: Path) -> None:
    async with engine_on(tmp_path / "file.db", Counting) as engine:
        Counting.visits = 0
        async with engine.begin() as connection:
            await connection.execute(LETTERS.insert(), [{"letter": "a"}, {"letter": "b"}])
            found = (await connection.execute(sa.select(LETTERS.c.letter))).scalars().all()
        assert found == ["a", "b"]
        assert Counting.visits == 3  # the insert, the select, the commit; nothing is left to roll back

        Counting.visits = 0
        async with engine.connect() as connection:
            assert (await connection.execute(sa.select(sa.func.count()).select_from(LETTERS))).scalar_one() == 2
        assert Counting.visits == 1  # reading opens no transaction that had to be rolled back


async def test_a_transaction_that_raises_is_rolled_back(tmp_path: Path) -> None:
    async with engine_on(tmp_path / "file.db") as engine:
        with pytest.raises(sa.exc.IntegrityError):
            async with engine.begin() as connection:
                await connection.execute(LETTERS.insert(), {"letter": "a"})
                await connection.execute(LETTERS.insert(), {"letter": "a"})
        async with engine.connect() as connection:
            assert (await connection.execute(sa.select(LETTERS))).all() == []


async def test_a_transaction_that_is_cancelled_within_a_statement_is_rolled_back(tmp_path: Path) -> None:
    entered, leave = threading.Event(), threading.Event()

    def hold() -> None:
        entered.set()
        leave.wait(10)

    async with engine_on(tmp_path / "file.db") as engine:

        async def work() -> None:
            async with engine.begin() as connection:
                raw = (await connection.get_raw_connection()).driver_connection
                assert isinstance(raw, SqliteConnection)
                await raw.create_function("hold", 0, hold)
                await connection.execute(sa.text("INSERT INTO letters (letter) SELECT coalesce(hold(), 'a')"))

        task = asyncio.create_task(work())
        await asyncio.to_thread(entered.wait, 10)
        task.cancel()
        leave.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with engine.begin() as connection:  # nobody holds the file's lock any more
            assert (await connection.execute(sa.select(LETTERS))).all() == []
            await connection.execute(LETTERS.insert(), {"letter": "b"})


async def test_a_statement_that_is_a_transaction_is_one_visit(tmp_path: Path) -> None:
    async with engine_on(tmp_path / "file.db", Counting) as engine:
        Counting.visits = 0
        await engine.carry_out(LETTERS.insert(), [{"letter": "a"}, {"letter": "b"}])
        assert Counting.visits == 1
        [row] = await engine.fetch(LETTERS.insert().returning(LETTERS.c.id), {"letter": "c"})
        assert Counting.visits == 2

        async with engine_on(tmp_path / "file.db") as another:  # which sees what was committed
            assert [each.letter for each in await another.fetch(sa.select(LETTERS))] == ["a", "b", "c"]
        assert row.id == 3


async def test_of_a_statement_that_fails_as_a_transaction_nothing_is_kept(tmp_path: Path) -> None:
    async with engine_on(tmp_path / "file.db") as engine:
        with pytest.raises(sa.exc.IntegrityError):
            await engine.carry_out(LETTERS.insert(), [{"letter": "a"}, {"letter": "a"}])
        async with engine.begin() as connection:  # which commits nothing else
            assert (await connection.execute(sa.select(LETTERS))).all() == []


async def test_a_later_transaction_on_the_connection_is_committed_at_its_end_only(tmp_path: Path) -> None:
    async with engine_on(tmp_path / "file.db") as engine:
        with pytest.raises(sa.exc.StatementError, match="required"):  # before it is sent to the driver
            await engine.carry_out(LETTERS.insert().values(letter=sa.bindparam("letter")), {})
        with pytest.raises(sa.exc.IntegrityError):
            async with engine.begin() as connection:
                await connection.execute(LETTERS.insert(), {"letter": "a"})
                await connection.execute(LETTERS.insert(), {"letter": "a"})
        assert await engine.fetch(sa.select(LETTERS)) == []


async def test_a_statement_whose_commit_is_refused_leaves_nothing(tmp_path: Path) -> None:
    async with engine_on(tmp_path / "file.db") as engine, beginning_engine_on(tmp_path / "file.db") as another:
        with closing(sqlite3.connect(tmp_path / "file.db")) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM letters").fetchall()  # another may write meanwhile, and not commit
            with pytest.raises(sa.exc.OperationalError, match="locked"):
                await another.carry_out(LETTERS.insert(), {"letter": "a"})
            assert await engine.fetch(sa.select(LETTERS)) == []
        await another.carry_out(LETTERS.insert(), {"letter": "b"})
        assert [each.letter for each in await engine.fetch(sa.select(LETTERS))] == ["b"]


async def test_it_tells_of_the_row_that_was_inserted_and_of_how_many_were_changed(tmp_path: Path) -> None:
    async with engine_on(tmp_path / "file.db") as engine, engine.begin() as connection:
        first = await connection.execute(LETTERS.insert(), {"letter": "a"})
        second = await connection.execute(LETTERS.insert().returning(LETTERS.c.id), {"letter": "b"})
        changed = await connection.execute(sa.update(LETTERS).values(letter=LETTERS.c.letter + "!"))
        assert (first.lastrowid, second.scalar_one(), changed.rowcount) == (1, 2, 2)


async def test_the_drivers_error_arrives_as_it_was_raised(tmp_path: Path) -> None:
    connection = await SqliteConnection.opened(str(tmp_path / "file.db"))
    try:
        with pytest.raises(sqlite3.OperationalError, match="no such table"):
            await connection.cursor().execute("SELECT * FROM missing")
    finally:
        await connection.close()


async def test_a_transaction_begins_with_its_first_statement(tmp_path: Path) -> None:
    async with engine_on(tmp_path / "file.db"), beginning_engine_on(tmp_path / "file.db") as engine:
        async with engine.begin() as connection:
            await connection.execute(sa.select(LETTERS))
        Counting.visits = 0
        async with engine.begin() as connection:
            await connection.execute(LETTERS.insert(), {"letter": "a"})
        assert Counting.visits == 2  # the insert, before which the transaction is begun; the commit

        async with engine.begin():
            pass
        assert Counting.visits == 2
        async with engine.connect() as connection:
            assert (await connection.execute(sa.select(LETTERS.c.letter))).scalars().all() == ["a"]


async def test_a_statement_whose_transaction_cannot_begin_is_not_carried_out(tmp_path: Path) -> None:
    async with engine_on(tmp_path / "file.db") as engine, beginning_engine_on(tmp_path / "file.db") as another:
        async with engine.begin() as connection:
            await connection.execute(LETTERS.insert(), {"letter": "a"})
            with pytest.raises(sa.exc.OperationalError, match="locked"):
                async with another.begin() as late:
                    await late.execute(LETTERS.insert(), {"letter": "b"})
        async with another.begin() as connection:
            assert (await connection.execute(sa.select(LETTERS.c.letter))).scalars().all() == ["a"]


@asynccontextmanager
async def beginning_engine_on(path: Path) -> AsyncIterator[AsyncEngine]:
    """Give an engine that begins transactions by a statement, as that of run state does, and waits for no lock."""
    settings = {"async_creator_fn": Counting.opened, "timeout": 0, "isolation_level": None}
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}", connect_args=settings)

    @sa.event.listens_for(engine.sync_engine, "begin")
    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    try:
        yield engine
    finally:
        await engine.dispose()


async def test_a_transaction_that_reads_first_can_write_whatever_others_write_meanwhile(tmp_path: Path) -> None:
    """Without the lock from its beginning, its first statement that writes fails at once: what it read is outdated."""
    url = f"sqlite:///{tmp_path / 'state.db'}"
    mine, others = open_engine(url, reads=True), open_engine(url)
    try:
        async with mine.begin() as connection:
            await connection.execute(sa.text("CREATE TABLE numbers (number INTEGER)"))
        async with mine.begin() as connection:
            read = await connection.scalar(sa.text("SELECT count(*) FROM numbers"))
            other = asyncio.create_task(others.carry_out(sa.text("INSERT INTO numbers VALUES (1)")))
            await asyncio.wait([other], timeout=0.2)
            await connection.execute(sa.text(f"INSERT INTO numbers VALUES ({read})"))
        await other
        async with mine.connect() as connection:
            assert await connection.scalar(sa.text("SELECT sum(number) FROM numbers")) == 1
    finally:
        await mine.dispose()
        await others.dispose()


async def test_a_transaction_that_only_reads_waits_for_nobody_who_writes(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'state.db'}"
    mine, others = open_engine(url, reads=True), open_engine(url)
    try:
        async with others.begin() as writing:
            await writing.execute(sa.text("CREATE TABLE numbers (number INTEGER)"))
            async with within(20), mine.connect() as connection:
                assert await connection.scalar(sa.text("SELECT count(*) FROM sqlite_master")) == 0
    finally:
        await mine.dispose()
        await others.dispose()
