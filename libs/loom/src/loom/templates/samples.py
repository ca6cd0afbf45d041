"""Writes the records that a new pipeline begins with, as each format and each database of one file has them."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

CUSTOMERS: Sequence[Mapping[str, str | int]] = (
    {"id": "c1", "name": "Ada", "city": "London", "orders": 3},
    {"id": "c2", "name": "Grace", "city": "New York", "orders": 5},
    {"id": "c3", "name": "Søren", "city": "København", "orders": 0},
)
"""Holds the records that every sample has."""

Sample = Callable[[Path], None]
"""Writes a source's sample below the folder of the pipeline."""

_TABLE = "CREATE TABLE customers (id TEXT PRIMARY KEY, name TEXT, city TEXT, orders INTEGER)"


def loaded(suffix: str) -> Sample:
    """Return what writes a file of a format that Loom writes, as a pipeline would."""

    def write(folder: Path) -> None:
        asyncio.run(_load(folder, f"data/customers.{suffix}"))

    return write


async def _load(folder: Path, path: str) -> None:
    from loom_common.config.credentials import Credentials
    from loom_common.domain.definition.load import LoadConfig
    from loom_connectors.ports.context import ConnectorContext
    from loom_connectors.ports.destination import LoadBatch, Row
    from loom_connectors.registry import open_destination

    rows = [Row(str(row["id"]), dict(row)) for row in CUSTOMERS]
    destination = open_destination(LoadConfig(destination=path), ConnectorContext(folder, Credentials()))
    try:
        await destination.load(LoadBatch("sample", "sample", 0, 0, 0, rows))
        await destination.finalize("sample", complete=True)
    finally:
        await destination.close()
    shutil.rmtree(folder / f"{path}.loom")  # what runs keep beside the files that they wrote


def yaml(folder: Path) -> None:
    """Write the customers as a YAML file below the folder of the pipeline."""
    _text(folder, "yaml", "".join(f"- {json.dumps(dict(row), ensure_ascii=False)}\n" for row in CUSTOMERS))


def toml(folder: Path) -> None:
    """Write the customers as a TOML file below the folder of the pipeline."""
    tables = (
        "".join(f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in row.items())
        for row in CUSTOMERS
    )
    _text(folder, "toml", "\n".join(f"[[customers]]\n{table}" for table in tables))


def sqlite(folder: Path) -> None:
    """Write the customers as a SQLite file below the folder of the pipeline."""
    with closing(sqlite3.connect(_file(folder, "db"))) as database, database:
        database.execute(_TABLE)
        database.executemany("INSERT INTO customers VALUES (:id, :name, :city, :orders)", CUSTOMERS)


def duckdb(folder: Path) -> None:
    """Write the customers as a DuckDB file below the folder of the pipeline."""
    import duckdb as package

    with closing(package.connect(_file(folder, "duckdb"))) as database:
        database.execute(_TABLE)
        database.executemany("INSERT INTO customers VALUES (?, ?, ?, ?)", [list(row.values()) for row in CUSTOMERS])


def _text(folder: Path, suffix: str, content: str) -> None:
    _file(folder, suffix).write_text(content, encoding="utf-8")


def _file(folder: Path, suffix: str) -> Path:
    file = folder / f"data/customers.{suffix}"
    file.parent.mkdir(parents=True, exist_ok=True)
    return file
