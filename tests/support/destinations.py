"""Makes every kind of destination that the conformance suites run against, and the batches that they load."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from loom_common.config.credentials import Credentials
from loom_common.config.secrets.environment import EnvProvider
from loom_common.domain.definition.load import LoadConfig
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.deferred_rows import DeferredRows
from loom_connectors.ports.destination import Destination, LoadBatch, LoadResult, Row
from loom_connectors.registry import open_destination
from support.buckets import AZURE_KEYS, GOOGLE_KEYS, KEYS, OF_AZURE, bucket_of
from support.file_contents import records_in
from support.rest_server import Api
from support.sql_systems import SQL_SYSTEMS, Database

SCHEMA = {"type": "object", "properties": {"id": {"type": "integer"}, "text": {"type": "string"}}}

FILES = ("out/scores.csv", "out/scores.jsonl", "out/scores.json.gz", "out/scores.jsonl.gz", "out/scores.parquet")
OBJECTS = (f"s3://tests/${{S3_FOLDER}}/out/scores.csv{KEYS}", f"s3://tests/${{S3_FOLDER}}/out/scores.parquet{KEYS}")
GOOGLE = tuple(f"gs://tests/${{GCS_FOLDER}}/out/scores.{each}{GOOGLE_KEYS}" for each in ("csv", "parquet"))
"""Names the same files in Google's store."""
AZURE = tuple(f"az://tests/${{AZURE_FOLDER}}/out/scores.{each}{AZURE_KEYS}" for each in ("csv", "parquet"))
"""Names the same files in Azure's store, where they are asked for."""
APIS = ("rest+${API}/sink",)
SNOWFLAKE = "${SNOWFLAKE}&table=scores"
"""The table in the emulator of Snowflake. It takes a fifth of a second for each statement, so the tests that run
against it are those of what its connector does in a way of its own, once each."""
MSSQL = "${MSSQL}&table=scores"
"""The table in the emulator of SQL Server, which is slow for its own reason: it translates each statement."""
TABLES = tuple(system.location for system in SQL_SYSTEMS if system.location not in (SNOWFLAKE, MSSQL))
SERVERS = ("DB", "MARIADB", "MSSQL", "SNOWFLAKE")
"""The variables that locations of tables refer to."""

ADDING = [(location, "append") for location in (*FILES, OBJECTS[0], GOOGLE[0])] + [
    (location, mode) for location in TABLES for mode in ("append", "upsert")
]
ADDING += [(location, "append") for location in APIS]
ADDING += [(AZURE[0], "append")] if OF_AZURE else []
ONLY_REPLACED = ("out/scores.arrow", "out/scores.xlsx")
REPLACING = [(location, "replace") for location in (*FILES, *ONLY_REPLACED, OBJECTS[1], GOOGLE[1], *TABLES)]
REPLACING += [(AZURE[1], "replace")] if OF_AZURE else []
IN_TABLES = [(location, mode) for location in TABLES for mode in ("append", "upsert", "replace")]
EVERY = ADDING + REPLACING


def places(*locations_and_modes: tuple[str, str]) -> Any:
    """Run a test against each of these; its argument `at` is the `Place`."""
    return pytest.mark.parametrize(
        "where",
        locations_and_modes,
        ids=[f"{_without_keys(each)}-{mode}" for each, mode in locations_and_modes],
    )


def _without_keys(location: str) -> str:
    return location.removesuffix(KEYS).removesuffix(GOOGLE_KEYS).removesuffix(AZURE_KEYS)


def batch(position: int, *rows: dict[str, Any], run: str = "run_1") -> LoadBatch:
    """Return the batch at `position` of a run's only slice. The rows of every second one are made when they are
    read."""

    def made() -> list[Row]:
        return [Row(f"r{position}.{at}", values) for at, values in enumerate(rows)]

    return LoadBatch(
        run_id=run,
        batch_id=f"{run}-{position}",
        partition=0,
        slice=0,
        position=position,
        rows=DeferredRows(len(rows), made) if position % 2 else made(),
    )


def row(number: int) -> dict[str, Any]:
    """Return the values of one row."""
    return {"id": number, "text": f"line\n{number}, «so»"}


@dataclass
class Place:
    """Says where a destination writes, and sees what is there."""

    folder: Path
    url: str
    """The URL of the test's own database; empty where it needs none."""
    location: str
    mode: str
    environ: Mapping[str, str] = field(default_factory=dict)
    """Variables that the location refers to."""
    schema: Any = None
    """Says the contract of the rows, as `load.schema` does."""
    api: Api | None = None
    """The server that is written to, where it is one."""

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Destination]:
        """Open the destination, as one more process does."""
        context = ConnectorContext(
            self.folder,
            Credentials({"env": EnvProvider({**dict.fromkeys(SERVERS, self.url), **self.environ})}),
            output_schema=SCHEMA,
        )
        key = ["id"] if self.mode == "upsert" else []
        config = LoadConfig(destination=self.location, mode=self.mode, key=key, schema=self.schema)
        destination = open_destination(config, context)
        try:
            yield destination
        finally:
            await destination.close()

    async def load(self, *batches: LoadBatch) -> list[LoadResult]:
        async with self.opened() as destination:
            return [await destination.load(each) for each in batches]

    async def finalize(self, run: str = "run_1", *, complete: bool = True, keep: bool = False) -> bool:
        async with self.opened() as destination:
            return await destination.finalize(run, complete=complete, keep=keep)

    async def drop(self, run: str = "run_1") -> bool:
        async with self.opened() as destination:
            return await destination.drop(run)

    @property
    def database(self) -> Database | None:
        """Return the database; None where the destination is a file."""
        system = next((each for each in SQL_SYSTEMS if each.location == self.location), None)
        return None if system is None else Database.of(system, self.folder, self.url)

    async def beside(self) -> list[str]:
        """Return what of a run lies beside the destination: staging tables, and folders with parts."""
        if (database := self.database) is not None:
            return [name for name in await database.tables() if name.startswith("scores__loom")]
        paths = await asyncio.to_thread(self._paths)
        found = [re.search(r"\.loom/(run_[^/]*)/", path) for path in paths]
        return sorted({each[1] for each in found if each})

    async def rows(self) -> list[dict[str, Any]]:
        """What a reader finds, in the order it is there."""
        if self.api is not None:  # it keeps no order
            return sorted(self.api.rows, key=lambda each: int(each["id"]))
        if (database := self.database) is not None:
            return await database.rows()
        name = self.location.partition("?")[0].rpartition("/")[2]
        content = await asyncio.to_thread(self._content, f"out/{name}")
        found = [] if content is None else records_in(name, content)
        return [{"id": int(each["id"]), "text": each["text"]} for each in found]

    def put(self, path: str, content: str) -> None:
        """Write a file beside the destination, or an object."""
        if self.is_object:
            bucket_of(self.environ).put(path, content.encode())
            return
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_text(content)

    @property
    def is_object(self) -> bool:
        return self.location.startswith(("s3://", "gs://", "az://"))

    def _paths(self) -> list[str]:
        if self.is_object:
            return bucket_of(self.environ).paths()
        return [path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file()]

    def _content(self, path: str) -> bytes | None:
        if self.is_object:
            return bucket_of(self.environ).content(path)
        return (self.folder / path).read_bytes() if (self.folder / path).exists() else None

    async def make_table(self, sql: str | None = None) -> None:
        """Make the table, as somebody else did before."""
        assert self.database is not None
        await self.database.make_table(sql or self.database.system.table)
