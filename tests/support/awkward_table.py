"""Describes eight systems, an awkward typed table, and what each system makes of its values."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loom_common.config.credentials import Credentials, EnvProvider
from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.definition.load import LoadConfig
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.destination import LoadBatch, Row
from loom_connectors.ports.source import ReadRecord
from loom_connectors.registry import open_destination, open_source
from support.buckets import KEYS
from support.pieces import read_through
from support.round_trips import on_the_wire, same
from support.sql_systems import in_duckdb, in_mysql, in_postgres, in_sqlite

WORDS = "«ü» 漢字 \U0001f600 \"quoted\", 'single' \\ back\tTab;\r\nsecond line\n\n  end "
ROWS: list[dict[str, Any]] = [
    {
        "id": 2**63 - 1, "name": WORDS, "note": "", "price": "12.50", "moment": "2024-02-29T10:00:00.000001+00:00",
        "day": "2024-02-29", "ok": True, "ratio": 0.1, "nested": {"a": [1, {"b": None}], "ü": WORDS, "n": 2**53 + 1},
        "raw": {"$bytes": "00ff80"},
    },
    {
        "id": -(2**63), "name": "null", "note": None, "price": "-0.01", "moment": "2024-02-29T12:00:00+02:00",
        "day": None, "ok": False, "ratio": -1e300, "nested": [], "raw": None,
    },
    {
        "id": 0, "name": "0012", "note": "NaN", "price": None, "moment": None, "day": "0999-12-31", "ok": None,
        "ratio": None, "nested": None, "raw": {"$bytes": ""},
    },
]  # fmt: skip
LONG = {**ROWS[0], "id": 1, "name": "ä" * 2_500_000}
PARQUET = {
    "id": "integer", "name": "text", "note": "text", "price": "decimal(12,2)", "moment": "timestamp", "day": "date",
    "ok": "boolean", "ratio": "number", "nested": "json", "raw": "bytes",
}  # fmt: skip


@dataclass(frozen=True)
class System:
    """Represents a system of the matrix."""

    place: str
    """The location of the table `name`, which it has as `{name}`."""
    table: Callable[[str, str], Any] | None = None
    """Runs SQL in the database of a URL; None where files need no table."""
    columns: str = ""
    """The columns of the table, as somebody else declared them."""
    read: Mapping[str, Any] = field(default_factory=dict)
    """The options of the source."""
    write: Mapping[str, Any] = field(default_factory=dict)
    """The options of the destination."""
    kept: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)
    """Says by column what is read back of a value, where that is another one."""

    @property
    def mode(self) -> str:
        """Return the mode in which rows are loaded into it."""
        return "replace" if self.table is None else "append"

    def kept_of(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return what is read back of rows, as docs/values.md says."""
        return [{name: self.kept.get(name, unchanged)(value) for name, value in row.items()} for row in rows]


def number(value):
    return value if value is None else int(value)


def truth(value):
    """Return what a column of truth values makes of them, and of texts and numbers for them."""
    return value if value is None else {"true": True, "false": False, 1: True, 0: False}[value]


def as_number(value):
    """Return what a column makes of truth values that holds them as numbers; a text remains one."""
    return int(value) if isinstance(value, bool) else value


def as_text(value):
    """Return the field of a CSV file; an empty one is read as null."""
    match value:
        case None | "":
            return None
        case bool():
            return "true" if value else "false"
        case dict() | list():
            return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        case _:
            return str(value)


def nested_text(value):
    return as_text(value) if isinstance(value, dict | list) else value


def unchanged(value):
    return value


def in_utc(value):
    return "2024-02-29T10:00:00+00:00" if value == "2024-02-29T12:00:00+02:00" else value


def as_bytes(value):
    """Return the bytes that a text stands for, as Postgres and CSV files have them."""
    if isinstance(value, str):
        return {"$bytes": value[2:]} if value.startswith("\\x") else json.loads(value)
    return value


def hexadecimal(value):
    return None if value is None else "\\x" + as_bytes(value)["$bytes"]


TYPED = {
    "id": number, "ok": truth, "ratio": lambda value: value if value is None else float(value), "moment": in_utc,
    "raw": as_bytes,
}  # fmt: skip
SYSTEMS = {
    "csv": System(
        "{name}.csv", read={"null_values": [""], "max_field": 10_000_000}, kept=dict.fromkeys(ROWS[0], as_text)
    ),
    "jsonl": System("{name}.jsonl"),
    "parquet": System("{name}.parquet", write={"types": PARQUET}, kept=TYPED),
    "s3": System(f"s3://tests/${{S3_FOLDER}}/{{name}}.parquet{KEYS}", write={"types": PARQUET}, kept=TYPED),
    "postgres": System(
        "${DB}?table={name}", in_postgres,
        "id bigint, name text, note text, price numeric(12,2), moment timestamptz, day date, ok boolean, "
        "ratio double precision, nested jsonb, raw bytea",
        kept={**TYPED, "raw": hexadecimal},
    ),
    "sqlite": System(
        "sqlite:///pairs.db?table={name}", in_sqlite,
        "id INTEGER, name TEXT, note TEXT, price TEXT, moment TEXT, day TEXT, ok BOOLEAN, "
        "ratio REAL, nested TEXT, raw BLOB",
        kept={**TYPED, "moment": unchanged, "nested": nested_text, "ok": as_number},
    ),
    "mariadb": System(
        "${MARIADB}?table={name}", in_mysql,
        "id BIGINT PRIMARY KEY, name LONGTEXT, note LONGTEXT, price DECIMAL(12,2), "
        "moment TIMESTAMP(6) NULL, day DATE, ok BOOLEAN, ratio DOUBLE, nested JSON, raw LONGBLOB",
        kept={**TYPED, "ok": lambda value: number(truth(value))},
    ),
    "duckdb": System(
        "duckdb:///pairs.duckdb?table={name}", in_duckdb,
        "id BIGINT, name VARCHAR, note VARCHAR, price DECIMAL(12,2), moment TIMESTAMPTZ, day DATE, ok BOOLEAN, "
        "ratio DOUBLE, nested JSON, raw BLOB",
        kept=TYPED,
    ),
}  # fmt: skip


def differences(found, expected):
    for one, row in zip(found, expected, strict=True):
        for name in row:
            if not same(one.get(name), row[name]):
                yield row["id"], name, one.get(name), row[name]


@dataclass(frozen=True)
class Pairs:
    """Moves tables between systems."""

    folder: Path
    environ: Mapping[str, str]

    @property
    def context(self) -> ConnectorContext:
        return ConnectorContext(self.folder, Credentials({"env": EnvProvider(dict(self.environ))}))

    async def read(self, system: System, name: str) -> list[dict[str, Any]]:
        """Return the records of a table, those with the smallest id first."""
        place = system.place.replace("{name}", name)
        source = open_source(ExtractConfig(source=place, options=dict(system.read)), self.context)
        try:
            records = await read_through(source, 10)
        finally:
            await source.close()
        assert [str(each.error) for each in records if each.error] == []
        return sorted((each.data for each in records), key=lambda row: int(row["id"]))

    async def make_table(self, system: System, name: str) -> None:
        """Make an empty table, where the system has tables."""
        if system.table is not None:
            urls = {"postgres": self.environ["DB"], "mysql": self.environ["MARIADB"]}
            url = next((urls[each] for each in urls if system.table.__name__ == f"in_{each}"), None)
            path = self.folder / system.place.partition(":///")[2].partition("?")[0]
            await system.table(url or str(path), f"CREATE TABLE {name} ({system.columns})")

    async def write(self, system: System, name: str, rows: list[dict[str, Any]]) -> None:
        """Load records, as the loader gets them, into a table."""
        await self.make_table(system, name)
        place = system.place.replace("{name}", name)
        config = LoadConfig(destination=place, mode=system.mode, options=dict(system.write))
        destination = open_destination(config, self.context)
        try:
            wire = on_the_wire([ReadRecord(str(at), row) for at, row in enumerate(rows)])
            made = [Row(str(at), row) for at, row in enumerate(wire)]
            result = await destination.load(LoadBatch("r", name, 0, 0, 0, made))
            assert [each.reason for each in result.failed] == []
            await destination.finalize("r", complete=True)
        finally:
            await destination.close()

    async def moved(self, system: System, name: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Write rows, and return what is read back. Raises `AssertionError` where a value is another one than
        docs/values.md says."""
        await self.write(system, name, rows)
        found = await self.read(system, name)
        assert [*differences(found, system.kept_of(rows))] == []
        return found
