"""The tables in the code are those that the migrations make, on both systems."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, MetaData

from loom_ai.journal import tables as journal
from loom_common.async_engine import AsyncEngine
from loom_coordinator.db import tables as run_state
from loom_dev.newest_schema import migrated
from loom_migrations import new_sqlite
from loom_migrations.upgrade import newest, upgrade_all
from loom_quarantine.db import tables as quarantine

TABLES = [each.metadata for each in (journal, run_state, quarantine)]


def test_the_three_parts_of_the_schema_have_no_table_in_common():
    names = [name for metadata in TABLES for name in metadata.tables]
    assert len(names) == len(set(names)) > 0


async def test_the_migrated_schema_is_that_of_the_tables_in_the_code(engine):
    assert await differences(engine, TABLES) == []


async def test_a_new_sqlite_file_is_what_all_migrations_come_to(tmp_path):
    await migrated(tmp_path / "migrated.db")
    await upgrade_all([f"sqlite:///{tmp_path}/new.db"])
    assert dumped(tmp_path / "new.db") == dumped(tmp_path / "migrated.db")


def test_a_new_sqlite_file_needs_no_alembic(tmp_path):
    code = (
        "import asyncio, sys; from loom_migrations.upgrade import upgrade_all; "
        f"asyncio.run(upgrade_all(['sqlite:///{tmp_path}/new.db'])); sys.exit('alembic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_file_that_a_later_migration_has_overtaken_is_not_used():
    assert new_sqlite.written_for(newest())
    assert not new_sqlite.written_for("9999")


def dumped(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as database:
        return list(database.iterdump())


@pytest.mark.parametrize("missing", ["table", "column"])
async def test_a_migration_that_is_missing_is_found(engine, missing):
    changed = MetaData()
    for table in journal.metadata.tables.values():
        table.to_metadata(changed)
    if missing == "table":
        changed.remove(changed.sorted_tables[0])
    else:
        table = changed.sorted_tables[0]
        table._columns.remove(list(table.columns)[-1])
    assert await differences(engine, [changed, *TABLES[1:]])


async def differences(engine: AsyncEngine, parts: list[MetaData]) -> list[object]:
    """Return what a migration would have to change, as Alembic sees it."""

    def compare(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        found = compare_metadata(context, parts)
        changes = [change for each in found for change in (each if isinstance(each, list) else [each])]
        return [change for change in changes if not _is_of_no_matter(change)]

    async with engine.connect() as connection:
        return await connection.run_sync(compare)


def _is_of_no_matter(change: tuple[Any, ...]) -> bool:
    """Tell whether it is Alembic's own table, or a comment, which only the code has."""
    kind = change[0]
    return kind == "modify_comment" or (kind == "remove_table" and change[1].name == "alembic_version")
