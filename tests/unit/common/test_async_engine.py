"""Tests what the engines of a process share."""

from __future__ import annotations

from sqlalchemy import Column, Integer, MetaData, Table, select
from sqlalchemy.engine.interfaces import CacheStats

from loom_common.async_engine import AsyncEngine, create_async_engine


async def _compiled_anew(engine: AsyncEngine, table: Table) -> bool:
    async with engine.begin() as connection:
        await connection.run_sync(table.metadata.create_all)
        found = await connection.execute(select(table))
        return found.context.cache_hit is CacheStats.CACHE_MISS


async def test_a_statement_is_compiled_once_for_all_engines_of_one_kind_and_version(tmp_path):
    table = Table("numbers", MetaData(), Column("n", Integer))
    compiled = []
    for number, version in enumerate([None, None, (1, 0), (1, 0)]):
        engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/{number}.db")
        async with engine.connect():
            pass  # at its first connection an engine learns the version of the server
        engine.dialect.server_version_info = version or engine.dialect.server_version_info
        compiled.append(await _compiled_anew(engine, table))
        await engine.dispose()
    assert compiled == [True, False, True, False]
