"""Opens databases of SQLite as a test sees them beside Loom's connector."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any


def run_sql(folder: Path, *statements: str) -> list[tuple[Any, ...]]:
    """Run statements in the database `x.db` of a folder. Returns the rows of the last one."""
    rows: list[tuple[Any, ...]] = []
    with closing(sqlite3.connect(folder / "x.db")) as db, db:
        for statement in statements:
            rows = db.execute(statement).fetchall()
    return rows
