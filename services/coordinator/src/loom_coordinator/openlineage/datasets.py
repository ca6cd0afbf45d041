"""Names sources and destinations as OpenLineage's naming conventions ask, so that other tools know them by the same
names (https://openlineage.io/docs/spec/naming). Pure, and without any secret."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from loom_common.domain.values.urls import query_of, redacted

_PORTS = {"postgres": 5432, "mysql": 3306, "mssql": 1433}
_USUAL = {"postgres": "public", "mssql": "dbo"}
_ALIASES = {"postgresql": "postgres", "mariadb": "mysql", "kafkas": "kafka"}
_IN_FILES = ("sqlite", "duckdb")
_TABLES = re.compile(
    r"\b(?:from|join)\s+((?:[\w$]+|\"[^\"]+\"|`[^`]+`)(?:\.(?:[\w$]+|\"[^\"]+\"|`[^`]+`))*)", re.IGNORECASE
)
_DEFINED = re.compile(
    r"(?:\bwith\b(?:\s+recursive)?|,)\s*(\w+)\s+as\s*(?:not\s+materialized\s*|materialized\s*)?\(", re.IGNORECASE
)
_COMMENTS = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Dataset:
    """Represents a dataset by its namespace, which is a system, and its name there."""

    namespace: str
    name: str


def datasets_of(location: str, folder: Path, query: str | None = None) -> list[Dataset]:
    """Return the datasets of a location: one, or the tables that a `query` reads. A path starts at `folder`. A location
    that is a credential reference as a whole is known by the name of that."""
    shown = redacted(location)
    if shown.startswith("${"):
        return [Dataset("loom", shown)]
    if shown.startswith("python:"):
        return [Dataset("python", shown.removeprefix("python:"))]
    scheme, separator, rest = shown.partition("://")
    scheme = _ALIASES.get(scheme.lower(), scheme.lower())
    if not separator or scheme == "file":
        return [_file(rest if separator else shown, folder)]
    host, _, path = rest.partition("?")[0].partition("/")
    path = unquote(path)
    if scheme in _IN_FILES:
        database = str((folder / path).resolve()) if path else ":memory:"
        return [Dataset(f"{scheme}:{database}", table) for table in _tables(shown, query)]
    if scheme in _PORTS:
        place = host if ":" in host else f"{host}:{_PORTS[scheme]}"
        named = [_qualified(path, _USUAL.get(scheme), table) for table in _tables(shown, query)]
        return [Dataset(f"{scheme}://{place}", name) for name in named]
    if scheme == "snowflake":
        database, _, schema = path.partition("/")
        named = [_qualified(database, schema or None, table) for table in _tables(shown, query)]
        return [Dataset(f"snowflake://{host}", name) for name in named]
    if scheme == "bigquery":
        return [Dataset(scheme, _qualified(host, path, table)) for table in _tables(shown, query)]
    if scheme.startswith("rest+"):
        return [Dataset(f"{scheme.removeprefix('rest+')}://{host}", f"/{path}")]
    return [Dataset(f"{scheme}://{host}", path or "/")]


def _file(path: str, folder: Path) -> Dataset:
    return Dataset("file", str(folder / urlsplit(path).path if "?" in path else folder / path))


def _tables(location: str, query: str | None) -> Sequence[str]:
    """Return the tables that are read or written. Where neither the location nor the query names one, it is the
    query."""
    if query is None:
        return [query_of(location).get("table", "")]
    bare = _COMMENTS.sub(" ", query)
    defined = {name.lower() for name in _DEFINED.findall(bare)}
    named = [re.sub(r"[\"`]", "", name) for name in _TABLES.findall(bare)]
    return list(dict.fromkeys(name for name in named if name.lower() not in defined)) or ["query"]


def _qualified(database: str, schema: str | None, table: str) -> str:
    """Return `database.schema.table`, with what the table's name says itself of schema and database."""
    parts = table.split(".")
    before = [each for each in (database, schema) if each]
    wanted = len(before) + 1
    return ".".join([*before[: max(0, wanted - len(parts))], *parts])
