"""Reads what is written of runs, and what lies in destinations: read as a user would read it, by no code of Loom's."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import asyncpg

from support.truth import Books, Seen

_FILES = (".csv", ".tsv", ".jsonl", ".ndjson")
_DELIMITERS = {".csv": ",", ".tsv": "\t"}


async def of_sqlite(path: Path) -> dict[str, Books]:
    """Return the books of every run in a project's own state database; none where there is no database that can be
    read."""

    def read() -> dict[str, Books]:
        if not path.is_file():
            return {}
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as database:
            database.row_factory = sqlite3.Row
            if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'pipeline_runs'").fetchone():
                return {}
            tables = {name: [dict(row) for row in database.execute(sql)] for name, sql in _QUERIES.items()}
            return _books(tables)

    try:
        return await asyncio.to_thread(read)
    except sqlite3.DatabaseError:  # a test has spoiled it: there are no books to hold a command against
        return {}


async def of_postgres(url: str, since: Sequence[str] = ()) -> dict[str, Books]:
    """Return the same of a cluster's state database, but for the runs in `since`."""
    connection = await asyncpg.connect(url)
    try:
        tables = {name: [dict(row) for row in await connection.fetch(sql)] for name, sql in _QUERIES.items()}
    finally:
        await connection.close()
    return {run_id: books for run_id, books in _books(tables).items() if run_id not in since}


async def ledgers_of_postgres(url: str) -> dict[str, dict[str, int]]:
    """Run -> batch -> records loaded, as the ledger of a database says that results go to; none without one."""
    connection = await asyncpg.connect(url)
    try:
        if await connection.fetchval("SELECT to_regclass('loom_load_ledger')") is None:
            return {}
        found: dict[str, dict[str, int]] = {}
        for row in await connection.fetch("SELECT run_id, batch_id, loaded FROM loom_load_ledger"):
            found.setdefault(row["run_id"], {})[row["batch_id"]] = row["loaded"]
        return found
    finally:
        await connection.close()


_COUNTS = ("extracted", "rejected", "skipped", "quarantined", "loaded", "staged", "second")
_QUERIES = {
    "runs": "SELECT r.*, p.base FROM pipeline_runs r LEFT JOIN pipelines p ON p.name = r.pipeline_name "
    "ORDER BY r.started_at",
    "batches": f"SELECT run_id, batch_id, state, {', '.join(_COUNTS)} FROM batches",
    # What was withdrawn later was no longer the run's to keep back.
    "kept": "SELECT run_id, outcome, count(*) AS records FROM quarantined_records WHERE code <> 'withdrawn' "
    "GROUP BY run_id, outcome",
    "calls": "SELECT run_id, sum(made) AS made, sum(cost) AS cost, sum(tokens_in) AS tokens_in, "
    "sum(tokens_out) AS tokens_out FROM run_calls GROUP BY run_id",
}


def _books(tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Books]:
    none = {"made": 0, "cost": 0.0, "tokens_in": 0, "tokens_out": 0}
    calls = {row["run_id"]: {name: row[name] for name in none} for row in tables["calls"]}
    found = {}
    for row in tables["runs"]:
        run = {name: _read(value) if name in _JSON else value for name, value in row.items()}
        run_id = run["run_id"]
        mine = [batch for batch in tables["batches"] if batch["run_id"] == run_id]
        sums = {name: sum(batch[name] for batch in mine) for name in _COUNTS}
        sums["underway"] = sum(batch["state"] != "done" for batch in mine)
        kept = {each["outcome"]: each["records"] for each in tables["kept"] if each["run_id"] == run_id}
        names = frozenset(batch["batch_id"] for batch in mine)
        found[run_id] = Books(run, sums, kept, calls.get(run_id, none), names)
    return found


_JSON = ("tally", "definition", "placed")


def _read(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str | bytes) else value


def places(folder: Path) -> dict[str, Seen]:
    """Return what lies in a project's folder, by the file, or by the file and table: rows of CSV and JSON Lines files
    and of SQLite tables, but for what Loom itself keeps."""
    found: dict[str, Seen] = {}
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if not path.is_file() or any(part == ".loom" or part.endswith(".loom") for part in inside.parts):
            continue
        if path.suffix in _FILES:
            if (seen := _of_file(path)) is not None:
                found[str(path.resolve())] = seen
        elif path.suffix in (".db", ".sqlite"):
            found |= {f"sqlite:///{path.resolve()}?table={table}": seen for table, seen in _of_database(path).items()}
    return found


def _of_file(path: Path) -> Seen | None:
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    if path.suffix in _DELIMITERS:
        csv.field_size_limit(2**31 - 1)
        lines = csv.reader(text.splitlines(keepends=True), delimiter=_DELIMITERS[path.suffix])
        try:
            rows = max(sum(1 for line in lines if line) - 1, 0)
        except csv.Error:
            return None
    else:
        rows = sum(1 for line in text.split("\n") if line.strip())
    return Seen(rows, hashlib.sha256(data).hexdigest())


def _of_database(path: Path) -> dict[str, Seen]:
    found = {}
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as database:
            database.text_factory = bytes
            names = database.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' "
                "AND name NOT LIKE 'loom\\_load\\_ledger%' ESCAPE '\\'"
            ).fetchall()
            for (raw,) in names:
                name = raw.decode()
                rows = sorted(map(repr, database.execute('SELECT * FROM "{}"'.format(name.replace('"', '""')))))
                found[name] = Seen(len(rows), hashlib.sha256("\n".join(rows).encode()).hexdigest())
    except sqlite3.DatabaseError:
        return {}
    return found


def place_of(books: Books, folder: Path) -> str | None:
    """Return the key in `places` of where a run's rows go; None where that is somewhere else."""
    place = str(books.load["destination"])
    if books.run["replay_of"] is not None and books.run["placed"] is not None:
        place = str(books.run["destination"])  # as the loader said it: a replay of a sample lies beside, too
    if "${" in place:
        return None
    base = folder / _base(books)
    if "://" not in place:
        path = base / place
        if books.run["sample"] is not None:
            path = path.with_name(f"{path.stem}.sample{path.suffix}")
        return str(path.resolve()) if path.suffix in _FILES else None
    if not place.startswith("sqlite:///"):
        return None
    file, _, query = place.removeprefix("sqlite:///").partition("?table=")
    table = f"{query}_sample" if books.run["sample"] is not None else query
    return f"sqlite:///{(base / file).resolve()}?table={table}"


def _base(books: Books) -> str:
    return str(books.run.get("base") or "")


def ledger_of(books: Books, place: str) -> dict[str, int] | None:
    """Return the number of records loaded by batch, as the ledger beside a SQLite table says; None where there is
    none."""
    if not place.startswith("sqlite:///"):
        return None
    path = Path(place.removeprefix("sqlite:///").partition("?")[0])
    name = "loom_load_ledger_sample" if books.run["sample"] is not None else "loom_load_ledger"
    if not path.exists():
        return None
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as database:
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = ?", [name]).fetchone():
            return None
        rows = database.execute(f"SELECT batch_id, loaded FROM {name} WHERE run_id = ?", [books.run["run_id"]])
        return {batch: loaded for batch, loaded in rows if batch in books.batch_ids}
