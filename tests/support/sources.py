"""Makes one source of every kind that holds the same records, for the tests of what every source must do.

Each entry of `MAKERS` puts the records somewhere, and returns what opens a source on them."""

from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from contextlib import closing
from typing import Any

import asyncpg
import duckdb

from loom_common.adapters.payloads.folder import FolderPayloads
from loom_common.config.credentials import Credentials
from loom_common.config.secrets.environment import EnvProvider
from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.values.stored_records import source_of
from loom_connectors.custom import DataConnector, ExtractResult, LoadResult, Record
from loom_connectors.given.storing import store
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.source import ReadRecord, Source
from loom_connectors.registry import open_source, register_connector
from support.buckets import AZURE_KEYS, GOOGLE_KEYS, KEYS, OF_AZURE, bucket_of
from support.file_contents import content_of
from support.rest_server import WAYS
from support.sql_systems import in_mysql

ROWS = [{"id": n, "text": f"review\n{n}, «fine»", "half": n // 2} for n in range(23)]
"""`half` stands twice each, but for the last."""


Opens = Callable[[], Source]
"""Opens a source on records that are there, each time anew."""
Maker = Callable[[Any, Any], Awaitable[Opens]]
"""Puts the records into a folder, or where its second argument says."""


def context(folder, **environ: str) -> ConnectorContext:
    return ConnectorContext(folder, Credentials({"env": EnvProvider(environ)}))


def opening(folder, source: str, environ: Mapping[str, str] | None = None, **extract: Any) -> Opens:
    return lambda: open_source(ExtractConfig(source=source, **extract), context(folder, **(environ or {})))


def write_csv(path, rows):
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, ROWS[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def write_jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


async def csv_file(folder, _):
    write_csv(folder / "in.csv", ROWS)
    return opening(folder, "in.csv")


async def csv_pattern(folder, _):
    for part, (start, end) in enumerate([(0, 5), (5, 5), (5, 23)]):
        write_csv(folder / f"part{part}.csv", ROWS[start:end])
    return opening(folder, "part*.csv")


async def utf16_csv(folder, _):
    write_csv(folder / "in.csv", ROWS)
    text = (folder / "in.csv").read_bytes().decode()
    (folder / "in.csv").write_bytes(text.encode("utf-16"))
    return opening(folder, "in.csv")


async def jsonl_pattern(folder, _):
    for part, (start, end) in enumerate([(0, 7), (7, 23)]):
        write_jsonl(folder / f"part{part}.jsonl", ROWS[start:end])
    return opening(folder, "part*.jsonl")


def file(*names: str, source: str) -> Maker:
    """Return what writes the rows into files, some into each, and opens all of them."""

    async def make(folder, _):
        for at, name in enumerate(names):
            rows = ROWS[at * len(ROWS) // len(names) : (at + 1) * len(ROWS) // len(names)]
            (folder / name).write_bytes(content_of(name, rows))
        return opening(folder, source)

    return make


def objects(*names: str, source: str, place: str = "s3://tests/${S3_FOLDER}", keys: str = KEYS) -> Maker:
    """Return what does the same in a bucket of the S3 server, or of the `place` that is named."""

    async def make(folder, environ):
        for at, name in enumerate(names):
            rows = ROWS[at * len(ROWS) // len(names) : (at + 1) * len(ROWS) // len(names)]
            bucket_of(environ).put(f"in/{name}", content_of(name, rows))
        return opening(folder, f"{place}/in/{source}{keys}", environ)

    return make


def azure_objects(*names: str, source: str) -> Maker:
    """Return what does the same in Azure's store."""
    return objects(*names, source=source, place="az://tests/${AZURE_FOLDER}", keys=AZURE_KEYS)


def google_objects(*names: str, source: str) -> Maker:
    """Return what does the same in Google's store."""
    return objects(*names, source=source, place="gs://tests/${GCS_FOLDER}", keys=GOOGLE_KEYS)


MYSQL_TABLE = "CREATE TABLE t (id integer, text varchar(99), half integer)"
SQL_TABLE = "CREATE TABLE t (id integer, text text, half integer)"


def sqlite_source(**extract: Any) -> Maker:
    async def make(folder, _):
        with closing(sqlite3.connect(folder / "in.db")) as db, db:
            db.execute(SQL_TABLE)
            db.executemany("INSERT INTO t VALUES (:id, :text, :half)", ROWS)
        source = "sqlite:///in.db" if "query" in extract else "sqlite:///in.db?table=t"
        return opening(folder, source, **extract)

    return make


def duckdb_source(table: str = SQL_TABLE, **extract: Any) -> Maker:
    async def make(folder, _):
        with closing(duckdb.connect(folder / "in.duckdb")) as db:
            db.execute(table)
            db.executemany("INSERT INTO t VALUES (?, ?, ?)", [tuple(row.values()) for row in ROWS])
        source = "duckdb:///in.duckdb" if "query" in extract else "duckdb:///in.duckdb?table=t"
        return opening(folder, source, **extract)

    return make


def mysql_source(table: str = MYSQL_TABLE, **extract: Any) -> Maker:
    async def make(folder, url):
        await in_mysql(url, table)
        values = ", ".join(f"({row['id']}, '{row['text']}', {row['half']})" for row in ROWS)
        await in_mysql(url, f"INSERT INTO t VALUES {values}")
        source = "${DB}" if "query" in extract else "${DB}?table=t"
        return opening(folder, source, {"DB": url}, **extract)

    return make


def postgres_source(**extract: Any) -> Maker:
    async def make(folder, url):
        connection = await asyncpg.connect(url)
        await connection.execute(SQL_TABLE)
        await connection.executemany("INSERT INTO t VALUES ($1, $2, $3)", [tuple(row.values()) for row in ROWS])
        await connection.close()
        source = "${DB}" if "query" in extract else "${DB}?table=t"
        return opening(folder, source, {"DB": url}, **extract)

    return make


def rest(way: str) -> Maker:
    """Return what opens the rows of a server, in pages, as `support.rest_server.WAYS` says."""

    async def make(folder, api):
        path, options = WAYS[way]
        return opening(folder, f"rest+${{API}}{path}", {"API": api.url}, options=options)

    return make


class Crm(DataConnector):
    """A user's connector that gives more than it is asked for."""

    async def connect(self) -> None: ...

    async def disconnect(self) -> None: ...

    async def extract(self, query: str, batch_size: int = 100, cursor: str | None = None) -> ExtractResult:
        start = int(cursor or 0)
        rows = ROWS[start : start + 10]
        records = [Record(str(row["id"]), row) for row in rows]
        return ExtractResult(records, len(ROWS), start + 10 < len(ROWS), str(start + 10))

    async def load(self, records: list[Record], destination: str) -> LoadResult:
        raise NotImplementedError

    async def validate_connection(self) -> bool:
        return True


async def custom(folder, _):
    register_connector("crm", Crm)
    return opening(folder, "crm://reviews")


async def given(folder, _):
    async def records():
        for row in ROWS:
            yield ReadRecord("", row)

    payloads = FolderPayloads(folder / "payloads")
    name = await store(payloads, records(), 10**9)
    config = ExtractConfig(source=source_of(name))
    return lambda: open_source(config, ConnectorContext(folder, Credentials(), payloads=payloads))


MAKERS: dict[str, Maker] = {
    "csv": csv_file,
    "csv-pattern": csv_pattern,
    "csv-utf16": utf16_csv,
    "jsonl-pattern": jsonl_pattern,
    "csv-gz": file("in.csv.gz", source="in.csv.gz"),
    "jsonl-zst-pattern": file("a.jsonl.zst", "b.jsonl.zst", "c.jsonl.zst", source="*.jsonl.zst"),
    "csv-bz2": file("in.csv.bz2", source="in.csv.bz2"),
    "tsv": file("in.tsv", source="in.tsv"),
    "json": file("in.json", source="in.json"),
    "arrow-pattern": file("a.arrow", "b.arrow", source="*.arrow"),
    "yaml-pattern": file("a.yaml", "b.yaml", "c.yaml", source="*.yaml"),
    "toml": file("in.toml", source="in.toml"),
    "parquet": file("in.parquet", source="in.parquet"),
    "parquet-pattern": file("a.parquet", "b.parquet", source="*.parquet"),
    "s3-csv": objects("in.csv", source="in.csv"),
    "s3-parquet-pattern": objects("a.parquet", "b.parquet", source="*.parquet"),
    "s3-jsonl-gz-pattern": objects("a/1.jsonl.gz", "b/2.jsonl.gz", "b/3.jsonl.gz", source="**/*.jsonl.gz"),
    "google-csv": google_objects("in.csv", source="in.csv"),
    "google-parquet-pattern": google_objects("a.parquet", "b.parquet", source="*.parquet"),
    **(
        {
            "azure-csv": azure_objects("in.csv", source="in.csv"),
            "azure-parquet-pattern": azure_objects("a.parquet", "b.parquet", source="*.parquet"),
            "azure-jsonl-gz-pattern": azure_objects("a/1.jsonl.gz", "b/2.jsonl.gz", source="**/*.jsonl.gz"),
        }
        if OF_AZURE
        else {}
    ),
    "sqlite-rowid": sqlite_source(),
    "sqlite-key": sqlite_source(key="id"),
    "sqlite-duplicate-key": sqlite_source(key="half"),
    "sqlite-two-keys": sqlite_source(key=["half", "id"]),
    "sqlite-query": sqlite_source(query="SELECT * FROM t WHERE id >= 0", key="text"),
    "sqlite-null-key": sqlite_source(query="SELECT *, nullif(half, 3) AS h FROM t", key="h"),
    "duckdb-rowid": duckdb_source(),
    "duckdb-key": duckdb_source(key="id"),
    "duckdb-primary-key": duckdb_source(key="id", table="CREATE TABLE t (id integer PRIMARY KEY, text text, half int)"),
    "duckdb-duplicate-key": duckdb_source(key="half"),
    "duckdb-two-keys": duckdb_source(key=["half", "id"]),
    "duckdb-query": duckdb_source(query="SELECT * FROM t WHERE id >= 0 -- all\n;", key="text"),
    "duckdb-null-key": duckdb_source(query="SELECT *, nullif(half, 3) AS h FROM t", key="h"),
    "mysql-primary-key": mysql_source(table="CREATE TABLE t (id integer PRIMARY KEY, text varchar(99), half integer)"),
    "mysql-key": mysql_source(key="id"),
    "mysql-duplicate-key": mysql_source(key="half"),
    "mysql-two-keys": mysql_source(key=["half", "id"]),
    "mysql-query": mysql_source(query="SELECT * FROM t WHERE id >= 0 AND text LIKE '%%' -- all\n;", key="text"),
    "mysql-null-key": mysql_source(query="SELECT *, nullif(half, 3) AS h FROM t", key="h"),
    "postgres-place": postgres_source(),
    "postgres-key": postgres_source(key="id"),
    "postgres-duplicate-key": postgres_source(key="half"),
    "postgres-two-keys": postgres_source(key=["half", "id"]),
    "postgres-query": postgres_source(query="SELECT * FROM t WHERE id >= 0 -- all\n;", key="text"),
    "postgres-null-key": postgres_source(query="SELECT *, nullif(half, 3) AS h FROM t", key="h"),
    **{f"rest-{way}": rest(way) for way in ("link", "cursor", "page", "offset")},
    "custom": custom,
    "given": given,
}


ONE_PIECE = {
    "custom": "it splits nothing",
    "csv-utf16": "its characters are wide",
    "csv-gz": "it is compressed",
    "csv-bz2": "it is compressed",
    "json": "it is a document",
    "toml": "it is a document",
    "sqlite-query": "it is queried by a text",
    "duckdb-query": "it is queried by a text",
    "mysql-query": "it is queried by a text",
    "postgres-query": "it is queried by a text",
    "postgres-place": "it is a table of one block",
    **dict.fromkeys(("rest-link", "rest-cursor", "rest-page", "rest-offset"), "a page follows the one before it"),
}
COARSE = (
    "arrow-pattern",
    "azure-jsonl-gz-pattern",
    "azure-parquet-pattern",
    "google-parquet-pattern",
    "jsonl-zst-pattern",
    "parquet",
    "parquet-pattern",
    "s3-jsonl-gz-pattern",
    "s3-parquet-pattern",
    "yaml-pattern",
)
"""Sources that are split where a file or a group of rows begins."""
