"""Writes the schema of a new SQLite file, which is what all migrations come to.

`python -m loom_dev.newest_schema` writes it. With `--check` it writes nothing, and fails where it differs."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path

from loom_migrations import new_sqlite
from loom_migrations.engine import open_engine
from loom_migrations.upgrade import migrate, newest


def schema_of(path: Path) -> list[str]:
    """Return the statements that make all tables and indexes of a SQLite file, in the order in which they were made."""
    with closing(sqlite3.connect(path)) as database:
        found = database.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'")
        return [str(sql) for (sql,) in found]


async def migrated(path: Path) -> None:
    """Make a SQLite file by applying every migration."""
    engine = open_engine(f"sqlite:///{path}")
    try:
        async with engine.begin() as connection:
            await connection.run_sync(migrate, "head")
    finally:
        await engine.dispose()


def newest_document() -> str:
    """Return what the file must hold."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "new.db"
        asyncio.run(migrated(path))
        return new_sqlite.document(schema_of(path), newest())


def main(arguments: list[str]) -> int:
    wanted = newest_document()
    if "--check" in arguments:
        found = new_sqlite.FILE.read_text(encoding="utf-8") if new_sqlite.FILE.exists() else ""
        if found != wanted:
            print(f"{new_sqlite.FILE.name} is not what the migrations come to. Run `make docs`.", file=sys.stderr)
        return int(found != wanted)
    new_sqlite.FILE.write_text(wanted, encoding="utf-8")
    print(f"the schema of {newest()} in {new_sqlite.FILE.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
