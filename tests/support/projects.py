"""Makes projects to run: a folder with a pipeline file, its data and its Python, as a user would keep them."""

from __future__ import annotations

import asyncio
import csv
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from support.buckets import bucket_of
from support.file_contents import records_in
from support.sql_systems import in_duckdb, in_mysql

PASSTHROUGH: Mapping[str, Any] = {"type": "passthrough"}
COLUMNS = ("id", "review", "stars")


def python(function: str = "transforms:judged") -> dict[str, Any]:
    """Return a transform that calls `function` of the project's Python."""
    return {"type": "python", "function": function}


def ai(base_url: str, **changes: Any) -> dict[str, Any]:
    """Return a transform that asks a model one question per record."""
    return {
        "type": "ai",
        "model": "gpt-4o-mini",
        "base_url": base_url,
        "prompt": "What is the mood of review {{ input.id }}: {{ input.review }}?",
        "output": {"mood": {"enum": ["good", "bad"]}, "confidence": {"type": "number", "minimum": 0, "maximum": 1}},
        **changes,
    }


def at_once(calls: int) -> dict[str, Any]:
    """Return the section of a pipeline that keeps so many calls to OpenAI's models in flight, and no more. With
    `LOOM_MODELS_CONCURRENCY` another one begins for each that many others overtake."""
    return {"providers": {"openai": {"concurrency": calls}}}


def reviews(count: int, *, width: int = 0) -> Iterator[dict[str, str]]:
    """Yield records that need care: quotes, line breaks, letters outside ASCII. `width` adds so many characters to
    each."""
    for number in range(count):
        text = f'Naïve "review" no. {number},\nwith two lines' if number % 7 == 0 else f"Plain review {number}"
        yield {"id": f"r{number:06}", "review": text + "x" * width, "stars": str(number % 5 + 1)}


@dataclass(frozen=True)
class Project:
    """Represents a folder that `loom` runs in."""

    folder: Path
    pipeline: Path
    definition: Mapping[str, Any]

    @property
    def destination(self) -> str:
        """Return the destination as the pipeline names it."""
        return str(self.definition["load"]["destination"])

    def path(self, name: str) -> Path:
        return self.folder / name

    def say(self, **sections: Any) -> None:
        """Write the pipeline file anew with these keys in place of its own. JSON is YAML."""
        self.pipeline.write_text(json.dumps({**self.definition, **sections}, indent=2), encoding="utf-8")

    async def loaded(self, environ: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
        """Return the destination's rows, ordered by id; none where it is not there yet."""
        return await rows_at(self.destination, self.folder, environ or {})


def project(
    folder: Path,
    rows: int | Iterable[Mapping[str, Any]] = 100,
    *,
    name: str = "reviews",
    source: str = "reviews.csv",
    transform: Mapping[str, Any] = PASSTHROUGH,
    evaluate: Mapping[str, Any] | None = None,
    destination: str = "results/out.csv",
    extract: Mapping[str, Any] | None = None,
    load: Mapping[str, Any] | None = None,
    code: str | None = None,
) -> Project:
    """Write a pipeline and its data. `rows` is how many reviews there are, or the records themselves; `code`
    becomes `transforms.py`; `extract` and `load` are keys beside the source and the destination."""
    folder.mkdir(parents=True, exist_ok=True)
    definition: dict[str, Any] = {
        "name": name,
        "extract": {"source": source, "key": "id", **(extract or {})},
        "transform": dict(transform),
        **({"evaluate": dict(evaluate)} if evaluate else {}),
        "load": {"destination": destination, **(load or {})},
    }
    write_csv(folder / "reviews.csv", reviews(rows) if isinstance(rows, int) else rows)
    if code is not None:
        (folder / "transforms.py").write_text(code, encoding="utf-8")
    made = Project(folder, folder / "pipeline.yaml", definition)
    made.say()
    return made


def write_csv(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


async def rows_at(destination: str, folder: Path, environ: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return what lies at a destination, whatever it is, ordered by id."""
    if destination.endswith(".parquet"):
        return _by_id(records_in(destination, (folder / destination).read_bytes()))
    if destination.startswith("s3://tests/"):
        name = destination.partition("?")[0].rpartition("/")[2]
        return _by_id(records_in(name, bucket_of(environ).content(name) or b""))
    if destination.endswith((".csv", ".jsonl")):
        return sorted(_file_rows(folder / destination), key=lambda row: str(row["id"]))
    place, _, table = destination.partition("?table=")
    if destination.startswith("sqlite:"):
        return _sqlite_rows(folder / place.removeprefix("sqlite:///"), table)
    if destination.startswith("duckdb:"):
        return await _duckdb_rows(str(folder / place.removeprefix("duckdb:///")), table)
    if destination.startswith("${file:"):
        return await _mysql_rows(Path(place.removeprefix("${file:").removesuffix("}")), table)
    return await _postgres_rows(environ[place.removeprefix("${").removesuffix("}")], table)


def _by_id(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: str(row["id"]))


def _file_rows(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file)) if path.suffix == ".csv" else [json.loads(line) for line in file]


def _sqlite_rows(path: Path, table: str) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    with closing(sqlite3.connect(path, timeout=10)) as database:
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = ?", [table]).fetchone():
            return []
        found = database.execute(f'SELECT * FROM "{table}" ORDER BY id')
        names = [each[0] for each in found.description]
        return [dict(zip(names, row, strict=True)) for row in found]


async def _duckdb_rows(path: str, table: str) -> list[dict[str, Any]]:
    if not await asyncio.to_thread(Path(path).exists):
        return []
    if [table] not in map(list, await in_duckdb(path, "SELECT table_name FROM information_schema.tables")):
        return []
    names = [name for name, *_ in await in_duckdb(path, f'DESCRIBE "{table}"')]
    rows = await in_duckdb(path, f'SELECT * FROM "{table}" ORDER BY id')
    return [dict(zip(names, row, strict=True)) for row in rows]


async def _mysql_rows(secret: Path, table: str) -> list[dict[str, Any]]:
    """Return the rows of a table of MySQL, whose URL a file holds."""
    url = await asyncio.to_thread(secret.read_text)
    names = [name for name, *_ in await in_mysql(url, f"SHOW COLUMNS FROM {table}")]
    return [dict(zip(names, row, strict=True)) for row in await in_mysql(url, f"SELECT * FROM {table} ORDER BY id")]


async def _postgres_rows(url: str, table: str) -> list[dict[str, Any]]:
    connection = await asyncpg.connect(url)
    try:
        if await connection.fetchval("SELECT to_regclass($1)", table) is None:
            return []
        return [dict(row) for row in await connection.fetch(f'SELECT * FROM "{table}" ORDER BY id COLLATE "C"')]
    finally:
        await connection.close()


def review_ids(count: int) -> list[str]:
    """Return the ids of `reviews(count)`."""
    return [record["id"] for record in reviews(count)]


def ids(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return [str(row["id"]) for row in rows]
