"""Fills a state with many runs: one small run is carried out, and its rows are copied under other ids, at earlier
times."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from sqlalchemy import Connection, create_engine, inspect, text
from sqlalchemy.ext.asyncio import create_async_engine

from bench.start_up import measured
from loom_dev.backends import Postgres

_RECORDS = 50
_PIPELINE = f"""
name: reviews_0
extract: {{source: records.csv, key: id, batch_size: {_RECORDS}}}
transform: {{type: passthrough}}
evaluate:
  evaluators:
    - {{name: liked, type: range, field: stars, min: 0, max: 3, threshold: 0.5}}
    - {{name: rated, type: range, field: stars, min: 0, max: 5, threshold: 0.5}}
load: {{destination: out.jsonl}}
"""
_PIPELINES = 20
_MINUTES = 5
"""The minutes from each copied run to the one after it."""
_TIMES = ("_at", "_date", "deadline", "tell_by")


@dataclass(frozen=True, slots=True)
class _Words:
    """Holds what SQLite and Postgres write in different ways. `nth` is the number of the copied run."""

    run_id: str
    earlier: str
    """The time in the column whose name stands for `{}`, moved by as many minutes."""
    quickly: str | None
    """A statement after which nothing is kept that is not written to the disk."""


_WORDS: Mapping[str, _Words] = MappingProxyType(
    {
        "sqlite": _Words(
            "printf('run_%012x', nth)",
            f"strftime('%Y-%m-%d %H:%M:%f000', {{}}, '-' || (nth * {_MINUTES}) || ' minutes')",
            "PRAGMA synchronous = OFF",
        ),
        "postgresql": _Words(
            "'run_' || lpad(to_hex(nth), 12, '0')", f"{{}} - nth * interval '{_MINUTES} minutes'", None
        ),
    }
)


@contextmanager
def state(*, of_postgres: bool) -> Iterator[str | None]:
    """Let the commands of this process keep their state in a Postgres of their own, where it is asked for. Yields its
    URL; None where the state is a file of SQLite in the project."""
    if not of_postgres:
        yield None
        return
    server = Postgres().start()
    try:
        os.environ["LOOM_STATE_URL"] = server.url
        yield server.url
    finally:
        del os.environ["LOOM_STATE_URL"]
        server.close()


def fill(folder: Path, runs: int, url: str | None) -> int:
    """Make a project whose state holds so many runs. Returns how many scores of records it holds. Raises
    `BenchError`."""
    (folder / "pipeline.yaml").write_text(_PIPELINE)
    (folder / "records.csv").write_text(
        "id,stars,text\n" + "".join(f"{number},{number % 6},It works.\n" for number in range(_RECORDS))
    )
    _, report = measured(folder, ["run", "pipeline.yaml", "--format", "json"])
    run_id = json.loads(report)["run_id"]
    if url is not None:
        return asyncio.run(_filled_on_a_server(url, run_id, runs))
    engine = create_engine(f"sqlite:///{folder / '.loom' / 'loom.db'}")
    try:
        with engine.begin() as connection:
            return _filled(connection, run_id, runs)
    finally:
        engine.dispose()


async def _filled_on_a_server(url: str, run_id: str, runs: int) -> int:
    engine = create_async_engine(url.replace("postgresql:", "postgresql+asyncpg:", 1))
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(_filled, run_id, runs)
    finally:
        await engine.dispose()


def _filled(connection: Connection, run_id: str, runs: int) -> int:
    words = _WORDS[connection.dialect.name]
    if words.quickly is not None:
        connection.execute(text(words.quickly))
    tables = inspect(connection)
    ordered = [name for name, _ in tables.get_sorted_table_and_fkc_names() if name is not None]
    columns = {name: [each["name"] for each in tables.get_columns(name)] for name in ordered}
    _copy_pipelines(connection, columns["pipelines"])
    for table, names in columns.items():
        if "run_id" in names:
            _copy_rows(connection, table, [name for name in names if name != "id"], run_id, runs)
    connection.execute(text("ANALYZE"))
    return int(connection.execute(text("SELECT count(*) FROM record_evaluations")).scalar_one())


def _copy_pipelines(connection: Connection, columns: list[str]) -> None:
    for number in range(1, _PIPELINES):
        chosen = ", ".join(f"'reviews_{number}'" if name == "name" else f'"{name}"' for name in columns)
        names = ", ".join(f'"{name}"' for name in columns)
        connection.execute(
            text(f"INSERT INTO pipelines ({names}) SELECT {chosen} FROM pipelines WHERE name = 'reviews_0'")
        )


def _copy_rows(connection: Connection, table: str, columns: list[str], run_id: str, runs: int) -> None:
    """Copy the run's rows of a table for each of the other runs."""
    words = _WORDS[connection.dialect.name]
    names = ", ".join(f'"{name}"' for name in columns)
    copied = ", ".join(_of_another_run(words, name, run_id) for name in columns)
    connection.execute(
        text(
            f"WITH RECURSIVE others(nth) AS (SELECT 1 UNION ALL SELECT nth + 1 FROM others WHERE nth < {runs - 1}) "
            f'INSERT INTO "{table}" ({names}) SELECT {copied} FROM others CROSS JOIN '
            f'(SELECT * FROM "{table}" WHERE run_id = :run_id) AS of_the_run'
        ),
        {"run_id": run_id},
    )


def _of_another_run(words: _Words, column: str, run_id: str) -> str:
    """Return what a copied row has in a column, as SQL."""
    if column == "run_id":
        return words.run_id
    if column == "origin_run_id":
        return f"CASE WHEN origin_run_id = '{run_id}' THEN {words.run_id} ELSE origin_run_id END"
    if column == "pipeline_name":
        return f"'reviews_' || (nth % {_PIPELINES})"
    if column.endswith(_TIMES):
        return words.earlier.format(f'"{column}"')
    return f'"{column}"'
