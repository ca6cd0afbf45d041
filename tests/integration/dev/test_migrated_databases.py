"""Tests that a database which is lent again is as the migrations make it."""

from __future__ import annotations

from collections import Counter

import asyncpg

from loom_migrations.upgrade import newest
from support.migrated import migrated_database

TABLES = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"


async def rows(url: str) -> Counter[str]:
    """Count the rows of each table."""
    connection = await asyncpg.connect(url)
    try:
        names = [name for (name,) in await connection.fetch(TABLES)]
        return Counter({name: await connection.fetchval(f"SELECT count(*) FROM {name}") for name in names})
    finally:
        await connection.close()


async def done_in(url: str, statements: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(statements)
    await connection.close()


async def test_the_next_one_finds_all_tables_and_no_rows(postgres):
    async with migrated_database(postgres) as first, migrated_database(postgres) as second:
        new = await rows(second)
        values = "'p', '1', '{}', '{}', '', now(), now()"
        columns = "name, version, definition, files, base, created_at, updated_at"
        await done_in(first, f"INSERT INTO pipelines ({columns}) VALUES ({values})")
        assert await rows(first) == new + Counter(pipelines=1)
    async with migrated_database(postgres) as again, migrated_database(postgres) as other:
        assert {again, other} == {first, second}
        assert await rows(again) == await rows(other) == new
    assert {name for name, count in new.items() if count} == {"alembic_version"}


async def test_a_database_whose_tables_were_changed_is_not_lent_again(postgres):
    async with migrated_database(postgres) as url:
        await done_in(url, "UPDATE alembic_version SET version_num = '0001'; ALTER TABLE pipelines ADD x int")
    async with migrated_database(postgres) as other:
        assert other != url
        connection = await asyncpg.connect(other)
        assert await connection.fetchval("SELECT version_num FROM alembic_version") == newest()
        await connection.close()
