"""Lends Postgres databases as the migrations make them. All migrations take half a second of processor time, so a
database is emptied after a test and lent to the next one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg

from loom_dev.backends import Postgres
from loom_dev.backends.postgres import DISCONNECT_OTHERS
from loom_migrations.upgrade import upgrade_all

_SHAPE = """
    SELECT md5(string_agg(each, E'\\n' ORDER BY each)) FROM (
        SELECT format('%s %s', attrelid::regclass, a) AS each FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid
        WHERE relnamespace = 'public'::regnamespace
        UNION ALL SELECT format('%s %s', conrelid::regclass, pg_get_constraintdef(oid)) FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace
        UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
        UNION ALL SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_temp|^pg_toast_temp'
        UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    ) AS everything
"""
_EMPTY = """
    DO $$
    DECLARE
        each regclass;
    BEGIN
        SET LOCAL session_replication_role = replica;  -- no order of foreign keys
        FOR each IN SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
            AND relname <> 'alembic_version' LOOP
            EXECUTE format('DELETE FROM %s', each);
        END LOOP;
        PERFORM setval(seqrelid::regclass, seqstart, false) FROM pg_sequence;
    END $$
"""


@dataclass(frozen=True)
class _Migrated:
    name: str
    shape: str


_FREE: dict[str, list[_Migrated]] = {}
"""Databases that may be lent, by the URL of their server."""


@asynccontextmanager
async def migrated_database(postgres: Postgres) -> AsyncIterator[str]:
    """Provide a database with all tables and no rows, and return its DSN. After the block its clients are
    disconnected; where its tables are no longer those of the migrations, it is dropped."""
    free = _FREE.setdefault(postgres.url, [])
    database = free.pop() if free else await _make(postgres)
    url = postgres.url_of(database.name)
    try:
        yield url
    finally:
        if postgres.running:
            if await _emptied(url, database.shape):
                free.append(database)
            else:
                await postgres.drop(database.name)


async def _make(postgres: Postgres) -> _Migrated:
    name = await postgres.make()
    await upgrade_all([postgres.url_of(name)])
    connection = await asyncpg.connect(postgres.url_of(name))
    try:
        return _Migrated(name, await connection.fetchval(_SHAPE))
    finally:
        await connection.close()


async def _emptied(url: str, shape: str) -> bool:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(DISCONNECT_OTHERS)
        if await connection.fetchval(_SHAPE) != shape:
            return False
        await connection.execute(_EMPTY)
        return True
    finally:
        await connection.close()
