"""Tests that statements whose results nobody asks for go to the thread of a connection to SQLite with what follows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from loom_common.async_engine import AsyncEngine
from loom_common.bulk_insert import BulkInsert
from loom_common.sqlite.connection import SqliteConnection
from loom_migrations.engine import open_engine
from loom_migrations.upgrade import is_current, upgrade
from support.letters_in_sqlite import LETTERS, engine_on


class Visits(SqliteConnection):
    """Counts what is done in the thread."""

    steps = 0

    async def _in_thread(self, step):  # type: ignore[no-untyped-def]
        Visits.steps += 1
        return await super()._in_thread(step)


def letter(text: str) -> tuple[sa.Insert, dict[str, str]]:
    return LETTERS.insert(), {"letter": text}


async def letters(engine: AsyncEngine) -> list[str]:
    async with engine.connect() as connection:
        return sorted((await connection.execute(sa.select(LETTERS.c.letter))).scalars())


async def test_statements_that_are_put_off_go_with_the_next_one_or_with_the_commit(tmp_path: Path) -> None:
    async with engine_on(tmp_path / "file.db", Visits) as engine:
        many = BulkInsert(LETTERS.insert(), ["id", "letter"])
        Visits.steps = 0
        async with engine.begin() as connection:
            await connection.execute_later(*letter("a"))
            await connection.insert_many_later(many, [{"id": 7, "letter": "b"}, {"id": 8, "letter": "c"}])
            assert Visits.steps == 0
            found = (await connection.execute(sa.select(LETTERS.c.letter))).scalars().all()
            assert found == ["a", "b", "c"]
            await connection.execute_later(LETTERS.update().values(id=9).where(LETTERS.c.id == 8))
            await connection.execute_later(*letter("d"))
        assert Visits.steps == 2  # with the select, and with the commit
        assert await letters(engine) == ["a", "b", "c", "d"]


async def test_a_transaction_that_only_puts_off_is_one_visit(tmp_path: Path) -> None:
    async with engine_on(tmp_path / "file.db", Visits) as engine:
        Visits.steps = 0
        async with engine.begin() as connection:
            await connection.execute_later(*letter("a"))
        assert Visits.steps == 1
        assert await letters(engine) == ["a"]


@pytest.mark.parametrize("more", [True, False])
async def test_what_was_put_off_raises_where_it_is_carried_out_and_nothing_of_the_transaction_stays(
    tmp_path: Path, more: bool
) -> None:
    async with engine_on(tmp_path / "file.db", Visits) as engine:
        with pytest.raises(sa.exc.IntegrityError):
            async with engine.begin() as connection:
                await connection.execute_later(*letter("a"))
                await connection.execute_later(*letter("a"))
                if more:
                    await connection.execute(*letter("b"))
        assert await letters(engine) == []
        async with engine.begin() as connection:
            await connection.execute(*letter("c"))
        assert await letters(engine) == ["c"]


async def test_what_was_put_off_is_forgotten_where_the_transaction_is_rolled_back(tmp_path: Path) -> None:
    async with engine_on(tmp_path / "file.db", Visits) as engine:
        with pytest.raises(LookupError):
            async with engine.begin() as connection:
                await connection.execute_later(*letter("a"))
                raise LookupError
        async with engine.begin() as connection:
            await connection.execute(*letter("b"))
        assert await letters(engine) == ["b"]


async def test_a_statement_that_cannot_be_put_off_does_not_put_the_next_one_off(tmp_path: Path) -> None:
    async with engine_on(tmp_path / "file.db", Visits) as engine, engine.begin() as connection:
        with pytest.raises(sa.exc.StatementError):
            await connection.execute_later(LETTERS.insert().values(letter=sa.bindparam("given")), {"other": 1})
        assert (await connection.execute(sa.select(sa.func.count()).select_from(LETTERS))).scalar_one() == 0


async def test_the_schema_of_a_new_file_is_made_in_a_few_visits(tmp_path: Path, monkeypatch: Any) -> None:
    engine, steps = open_engine(f"sqlite:///{tmp_path / 'state.db'}"), []
    go = SqliteConnection._in_thread
    monkeypatch.setattr(SqliteConnection, "_in_thread", lambda *given: steps.append(1) or go(*given))
    try:
        await upgrade(engine)
        assert await is_current(engine)
    finally:
        await engine.dispose()
    assert 0 < len(steps) < 30
