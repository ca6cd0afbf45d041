"""Finds out whether a destination is the source, or one of its files. It is refused before anything is read."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from loom_common.config.credentials import Credentials
from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.definition.load import LoadConfig
from loom_common.domain.values.destination_names import sample_file, sample_table
from loom_common.domain.values.urls import query_of, redacted
from loom_common.errors import LoomError, MissingCredential, Problem
from loom_connectors.built_in import APIS
from loom_connectors.locations import database_file
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.registry import is_local_file, scheme_in
from loom_connectors.storage.local import held, path_of
from loom_connectors.storage.local_reads import reads, same_file
from loom_connectors.storage.objects.patterns import is_read

_POSTGRES = ("postgres", "postgresql")
_OBJECTS = ("s3", "gs", "az")
_MYSQL = ("mysql", "mariadb")
_MSSQL = "mssql"
_SNOWFLAKE = "snowflake"
_BIGQUERY = "bigquery"
_FILES = ("sqlite", "duckdb")
"""Databases that are files, in which names are equal whatever their case."""
_HERE = {"localhost", "127.0.0.1", "::1", ""}
_REFERENCE = re.compile(r"\$\{([^}]+)\}")


@dataclass(frozen=True, slots=True)
class Table:
    """Names a table of a database, so that two ways to write the same one are equal."""

    database: tuple[str, ...]
    schema: str
    name: str


def overlap(extract: ExtractConfig, load: LoadConfig, context: ConnectorContext) -> Problem | None:
    """Return what is wrong where `load` writes to what `extract` reads, or its second destination is its first; else
    None.

    A credential that is not known here, because another service holds it, counts as its own name."""
    context = replace(context, credentials=_KnownHere(context.credentials))
    places = [("destination", load.destination), ("fallback", load.fallback)]
    for key, location in places:
        if location is not None and (found := _source_in(extract, load.mode, location, context)) is not None:
            what, remedy = found
            return Problem(("load", key), f"'{redacted(location)}', {what}", remedy)
    if load.fallback is not None:
        first, second = (_place(each, context) for each in (load.destination, load.fallback))
        if _are_one(first, second):
            found_here = f"'{redacted(load.fallback)}', the destination itself, which cannot take what it refused"
            return Problem(("load", "fallback"), found_here, "another place")
        beside = (_of_a_sample(first), _of_a_sample(second)) if context.sample else (None, None)
        if _are_one(beside[0], second) or _are_one(first, beside[1]):
            found_here = f"'{redacted(load.fallback)}', and a trial writes beside one what is the place of the other"
            return Problem(("load", "fallback"), found_here, "a place without `sample` in its name")
    return None


def overwritten(load: LoadConfig, files: Iterable[Path], context: ConnectorContext) -> Problem | None:
    """Return what is wrong where `load` writes to one of these files, such as the pipeline file; else None."""
    for key, location in (("destination", load.destination), ("fallback", load.fallback)):
        if location is None or not is_local_file(location, context):
            continue
        target = held(_path(location, context), context)
        if any(same_file(target, each) for each in files):
            words = f"'{redacted(location)}', a file that the pipeline is made of: the run would destroy it"
            return Problem(("load", key), words, "another file")
    return None


_Place = Path | Table | tuple[str, str, str, str] | None


def _are_one(one: _Place, other: _Place) -> bool:
    if isinstance(one, Path) and isinstance(other, Path):
        return same_file(one, other)
    return one is not None and one == other


def _of_a_sample(place: _Place) -> _Place:
    """Return where a trial writes in place of this; None where it writes nothing there."""
    match place:
        case Path():
            return place.with_name(sample_file(place.name))
        case Table():
            return replace(place, name=sample_table(place.name))
        case (scheme, endpoint, bucket, key) if scheme in _OBJECTS:
            folder, slash, name = key.rpartition("/")
            return scheme, endpoint, bucket, f"{folder}{slash}{sample_file(name)}"
        case _:
            return None


def feeds(destination: str, written_from: ConnectorContext, source: str, read_from: ConnectorContext) -> bool:
    """Tell whether a source is exactly what a destination is: the same file, object, API or table, as far as that can
    be told without reaching it. A folder, a pattern and a database without a table are none."""
    here, there = (
        replace(context, credentials=_KnownHere(context.credentials)) for context in (written_from, read_from)
    )
    try:
        written, read = _place(destination, here), _place(source, there)
    except LoomError:
        return False
    return _are_one(written, read)


class _KnownHere(Credentials):
    def __init__(self, known: Credentials) -> None:
        self._known = known

    def expand(self, text: str, *, in_url: bool = False) -> str:
        try:
            return self._known.expand(text, in_url=in_url)
        except MissingCredential:
            return _REFERENCE.sub(r"\1", text)


def _source_in(
    extract: ExtractConfig, mode: str | None, location: str, context: ConnectorContext
) -> tuple[str, str] | None:
    """Return what the location has of the source, and what is expected instead; None where it has nothing."""
    read, written = scheme_in(extract.source, context), scheme_in(location, context)
    if is_local_file(extract.source, context) and is_local_file(location, context):
        target = held(_path(location, context), context)
        targets = [target, target.with_name(sample_file(target.name))] if context.sample else [target]
        held(_path(extract.source, context), context)
        if any(reads(_path(extract.source, context), context.folder, each) for each in targets):
            words = f"a file that extract.source ('{extract.source}') reads: the run would destroy its own source"
            return words, "another file, outside of what the source's pattern matches"
        return None
    if read in _OBJECTS and read == written:
        *bucket, key = _object(location, context)
        *bucket_read, pattern_read = _object(extract.source, context)
        if bucket == bucket_read and any(is_read(each, pattern_read) for each in _written(key, context)):
            words = f"an object that extract.source ('{redacted(extract.source)}') reads"
            return (
                f"{words}: the run would destroy its own source",
                "another object, outside of what the source's pattern matches",
            )
        return None
    if read in APIS and read == written:
        if _resource(location, context) == _resource(extract.source, context) and mode != "upsert":
            words = "the resource that extract reads: the run would feed its own source"
            return words, "another address; or, to update its records, `mode: upsert` with `PUT` or `PATCH`"
        return None
    table = _table(location, written, context)
    source = _source_table(extract, read, context)
    beside = table and context.sample and replace(table, name=sample_table(table.name))
    if source is not None and ((table == source and mode != "upsert") or beside == source):
        words = "the table that extract reads: the run would destroy or feed its own source"
        return words, "another table; or, to update the table's own rows, `mode: upsert` with `key`"
    return None


def _place(location: str, context: ConnectorContext) -> _Place:
    if is_local_file(location, context):
        return held(_path(location, context), context)
    if (scheme := scheme_in(location, context)) in _OBJECTS:
        return _object(location, context)
    if scheme in APIS:
        return _resource(location, context)
    return _table(location, scheme, context)


def _object(location: str, context: ConnectorContext) -> tuple[str, str, str, str]:
    """Return the scheme, the endpoint, the bucket and the key of an object, or of a pattern."""
    url = context.credentials.expand(location, in_url=True)
    scheme, _, rest = url.partition("://")
    bucket, _, key = rest.partition("?")[0].partition("/")
    return scheme.lower(), query_of(url).get("endpoint", ""), bucket, unquote(key)


def _resource(location: str, context: ConnectorContext) -> tuple[str, str, str, str]:
    """Return the scheme, the host, the port and the path of an API."""
    from loom_connectors.rest.http.address import Address as RestAddress

    address = RestAddress.of(location, context.credentials, "location")
    return address.origin.scheme, address.origin.host, str(address.origin.port), urlsplit(address.url).path


def _written(key: str, context: ConnectorContext) -> list[str]:
    folder, slash, name = key.rpartition("/")
    return [key, f"{folder}{slash}{sample_file(name)}"] if context.sample else [key]


def _path(location: str, context: ConnectorContext) -> str:
    return path_of(context.credentials.expand(location))


def _source_table(extract: ExtractConfig, scheme: str, context: ConnectorContext) -> Table | None:
    """Return the table that is read, or the first one that a query names."""
    table = _table(extract.source, scheme, context, named=extract.query is None)
    if extract.query is None or table is None:
        return table if extract.query is None else None
    from loom_connectors.sql.reading.queried_table import first_table  # most sources have no query

    if (named := first_table(extract.query)) is None:
        return None
    folds = scheme in _POSTGRES
    names = [part.text.lower() if folds and not part.quoted else part.text for part in named]
    if scheme == "duckdb" and len(names) == 2 and names[0].lower() == _catalog(extract.source, context):
        del names[0]
    return _named(table.database, names[-2] if len(names) > 1 else table.schema, names[-1])


def _catalog(location: str, context: ConnectorContext) -> str:
    """Return what DuckDB calls the database of a file: a name of two parts may begin with it."""
    return Path(database_file(location, context)[0]).stem.lower()


def _table(location: str, scheme: str, context: ConnectorContext, *, named: bool = True) -> Table | None:
    """Return the table of a location; None where it names none, unless it is not `named` there but in a query."""
    if scheme in _FILES:
        path, name = database_file(location, context)
        if named and name is None:
            return None
        named_schema, _, table = (name or "").rpartition(".")
        identity = _identity(held(path, context))
        return _named((scheme, identity), named_schema or "main", table)
    if scheme in _POSTGRES:
        from loom_connectors.postgres.server import Address

        address = Address.of(location, context)
        if named and address.table is None:
            return None
        url = urlsplit(address.dsn)
        host = (url.hostname or "").lower()
        database = ("postgres", "" if host in _HERE else host, str(url.port or 5432), url.path.strip("/"))
        schema = address.table.schema if address.table else None
        return _named(database, schema or "public", address.table.name if address.table else "")
    if scheme in _MYSQL:
        from loom_connectors.mysql.address import Address as MysqlAddress

        place = MysqlAddress.of(location, context)
        if named and place.table is None:
            return None
        host = "" if place.host.lower() in _HERE else place.host.lower()
        schema = (place.table.schema if place.table else None) or place.database
        return _named(("mysql", host, str(place.port)), schema, place.table.name if place.table else "")
    if scheme == _MSSQL:
        from loom_connectors.mssql.address import Address as MssqlAddress

        server = MssqlAddress.of(location, context)
        if named and server.table is None:
            return None
        host = "" if server.host.lower() in _HERE else server.host.lower()
        schema = (server.table.schema if server.table else None) or "dbo"
        database = (_MSSQL, host, str(server.port), server.database.lower())
        return _named(database, schema.lower(), server.table.name.lower() if server.table else "")
    if scheme in (_SNOWFLAKE, _BIGQUERY):
        return _in_warehouse(location, scheme, context, named=named)
    return None


def _in_warehouse(location: str, scheme: str, context: ConnectorContext, *, named: bool) -> Table | None:
    """Return the same of a location in a warehouse."""
    if scheme == _SNOWFLAKE:
        from loom_connectors.snowflake.address import Address as SnowflakeAddress

        account = SnowflakeAddress.of(location, context)
        if named and account.table is None:
            return None
        schema = (account.table.schema if account.table else None) or account.schema
        place_there = (_SNOWFLAKE, account.account.lower(), account.database.lower())
        return _named(place_there, schema.lower(), account.table.name if account.table else "")
    from loom_connectors.bigquery.address import Address as BigQueryAddress

    dataset = BigQueryAddress.of(location, context)
    if named and dataset.table is None:
        return None
    schema = (dataset.table.schema if dataset.table else None) or dataset.dataset
    return _named((_BIGQUERY, dataset.endpoint, dataset.project), schema, dataset.table.name if dataset.table else "")


def _named(database: tuple[str, ...], schema: str, name: str) -> Table:
    if database[0] in _FILES:
        return Table(database, schema.lower(), name.lower())
    return Table(database, schema, name)


def _identity(path: Path) -> str:
    """Return the same text for every way to one file, also by a folder that is not there: `x/../a.db`."""
    real = Path(os.path.realpath(path))
    try:
        found = real.stat()
        return f"{found.st_dev}/{found.st_ino}"
    except OSError:
        return str(real)
