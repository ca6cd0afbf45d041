"""Lists the connectors that Loom brings along, by name. Each is `module:attribute`, imported when it is first asked
for."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any

from loom_common import extras
from loom_common.errors import ConfigurationError

STORAGES: Mapping[str, str] = MappingProxyType(
    {
        "": "loom_connectors.storage.local_storage:LocalStorage",
        "file": "loom_connectors.storage.local_storage:LocalStorage",
        "s3": "loom_connectors.storage.objects.storage:ObjectStorage",
        "gs": "loom_connectors.storage.objects.storage:ObjectStorage",
        "az": "loom_connectors.storage.objects.storage:ObjectStorage",
        "https": "loom_connectors.storage.web.storage:WebStorage",
        "http": "loom_connectors.storage.web.storage:WebStorage",
    }
)
"""Storages by the scheme of a location; the empty scheme is that of a path."""
BUCKETS = frozenset({"s3", "gs", "az"})
"""Holds the schemes of storages that list objects."""

FORMATS: Mapping[str, str] = MappingProxyType(
    {
        "csv": "loom_connectors.formats.csv:CsvFormat",
        "tsv": "loom_connectors.formats.csv:CsvFormat",
        "jsonl": "loom_connectors.formats.jsonl:JsonLinesFormat",
        "ndjson": "loom_connectors.formats.jsonl:JsonLinesFormat",
        "json": "loom_connectors.formats.json_array:JsonArrayFormat",
        "parquet": "loom_connectors.formats.arrow.parquet:ParquetFormat",
        "arrow": "loom_connectors.formats.arrow.feather:FeatherFormat",
        "feather": "loom_connectors.formats.arrow.feather:FeatherFormat",
        "xlsx": "loom_connectors.formats.documents.excel:ExcelFormat",
        "yaml": "loom_connectors.formats.documents.yaml:YamlFormat",
        "yml": "loom_connectors.formats.documents.yaml:YamlFormat",
        "toml": "loom_connectors.formats.documents.toml:TomlFormat",
    }
)
"""Formats by the ending of a file's name, or by the option `format`."""
ONLY_READ = frozenset({"yaml", "yml", "toml"})
"""Holds the formats that no destination can have."""

SOURCES: Mapping[str, str] = MappingProxyType(
    {
        "api": "loom_connectors.inbox.connector:open_source",
        "sqlite": "loom_connectors.sqlite.connector:open_source",
        "duckdb": "loom_connectors.duckdb.connector:open_source",
        "mysql": "loom_connectors.mysql.connector:open_source",
        "mariadb": "loom_connectors.mysql.connector:open_source",
        "mssql": "loom_connectors.mssql.connector:open_source",
        "snowflake": "loom_connectors.snowflake.connector:open_source",
        "bigquery": "loom_connectors.bigquery.connector:open_source",
        "postgres": "loom_connectors.postgres.connector:open_source",
        "postgresql": "loom_connectors.postgres.connector:open_source",
        "amqp": "loom_connectors.rabbitmq.connector:open_source",
        "python": "loom_connectors.functions.connector:open_source",
        "amqps": "loom_connectors.rabbitmq.connector:open_source",
        "rabbitmq": "loom_connectors.rabbitmq.connector:open_source",
        "kafka": "loom_connectors.kafka.connector:open_source",
        "kafkas": "loom_connectors.kafka.connector:open_source",
        "redis": "loom_connectors.redis_streams.connector:open_source",
        "rediss": "loom_connectors.redis_streams.connector:open_source",
        "rest": "loom_connectors.rest.connector:open_source",
    }
)
"""Sources that are no files, by the scheme of a location: a `SourceFactory` each."""

DESTINATIONS: Mapping[str, str] = MappingProxyType(
    {
        "sqlite": "loom_connectors.sqlite.connector:open_destination",
        "duckdb": "loom_connectors.duckdb.connector:open_destination",
        "mysql": "loom_connectors.mysql.connector:open_destination",
        "mariadb": "loom_connectors.mysql.connector:open_destination",
        "mssql": "loom_connectors.mssql.connector:open_destination",
        "snowflake": "loom_connectors.snowflake.connector:open_destination",
        "bigquery": "loom_connectors.bigquery.connector:open_destination",
        "postgres": "loom_connectors.postgres.connector:open_destination",
        "postgresql": "loom_connectors.postgres.connector:open_destination",
        "amqp": "loom_connectors.rabbitmq.connector:open_destination",
        "python": "loom_connectors.functions.connector:open_destination",
        "amqps": "loom_connectors.rabbitmq.connector:open_destination",
        "rabbitmq": "loom_connectors.rabbitmq.connector:open_destination",
        "rest": "loom_connectors.rest.connector:open_destination",
    }
)
"""Destinations that are no files, by the scheme of a location: a `DestinationFactory` each."""

LOOKUPS: Mapping[str, str] = MappingProxyType(
    {
        "sqlite": "loom_connectors.sqlite.connector:open_lookup",
        "duckdb": "loom_connectors.duckdb.connector:open_lookup",
        "mysql": "loom_connectors.mysql.connector:open_lookup",
        "mariadb": "loom_connectors.mysql.connector:open_lookup",
        "mssql": "loom_connectors.mssql.connector:open_lookup",
        "snowflake": "loom_connectors.snowflake.connector:open_lookup",
        "bigquery": "loom_connectors.bigquery.connector:open_lookup",
        "postgres": "loom_connectors.postgres.connector:open_lookup",
        "postgresql": "loom_connectors.postgres.connector:open_lookup",
    }
)
"""Systems that records are looked up in, by the scheme of a location: a `LookupFactory` each."""

GIVEN: Mapping[str, str] = MappingProxyType({"loom-records": "loom_connectors.given.source:open_source"})
"""The source of a run that somebody gave its records. The run's request puts it into the definition; a pipeline's file
cannot name it."""

KEPT: Mapping[str, str] = MappingProxyType({"loom-rows": "loom_connectors.given.destination:open_destination"})
"""The destination of a run on a cluster whose rows go back to the Python code that started it; a pipeline's file cannot
name it."""

READ_ONLY = frozenset({"api", "http", "https", "kafka", "kafkas", "redis", "rediss", "toml", "yaml", "yml"})
"""Storages, formats and systems that are no destination."""

BROKERS = frozenset({"amqp", "amqps", "kafka", "kafkas", "rabbitmq", "redis", "rediss"})
"""Systems that are message brokers."""

PYTHON = "python"
"""Stands before the colon where a function of the user's is a source or a destination."""

APIS = frozenset({"rest"})
"""Systems that are services of other people, spoken to over HTTP."""

INBOX = "api"
"""The scheme of a source that is given its records over HTTP."""

NO_TRIAL = BROKERS | APIS | {PYTHON, INBOX}
"""Destinations that have no place beside them, so that a trial writes to a file instead."""

PACKAGES: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("s3", "gs", "az"), "obstore"),
        **dict.fromkeys(("parquet", "arrow", "feather"), "pyarrow"),
        "xlsx": "python_calamine",
        "duckdb": "duckdb",
        **dict.fromkeys(("mysql", "mariadb"), "pymysql"),
        **dict.fromkeys(("kafka", "kafkas"), "confluent_kafka"),
        "mssql": "pytds",
        "snowflake": "snowflake",
        "bigquery": "google.auth",
    }
)
"""The package that a storage, a format or a database needs and that Loom does not need otherwise, by its name."""

EXTRAS: Mapping[str, str] = MappingProxyType(
    {
        "confluent_kafka": "kafka",
        "duckdb": "duckdb",
        "google.auth": "bigquery",
        "obstore": "objects",
        "pyarrow": "arrow",
        "pymysql": "mysql",
        "pytds": "mssql",
        "python_calamine": "excel",
        "snowflake": "snowflake",
    }
)
"""The extra of this package that brings a package which Loom does not need otherwise."""


def implementation_of(kind: Mapping[str, str], key: str) -> Any:
    """Find what a name stands for, which `kind` has as `module:attribute`. Raises `ConfigurationError` where it needs a
    package that is not installed."""
    module, _, attribute = kind[key].partition(":")
    try:
        return getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        if error.name is None or error.name not in EXTRAS:
            raise
        raise ConfigurationError(missing_extra(key, error.name)) from error


def missing_extra(name: str, package: str) -> str:
    """Say how the package is installed that a connector, a storage or a format needs."""
    extra = EXTRAS[package]
    return (
        f"'{name}' needs the package {package}, which is not installed. Install it where the extractors and loaders "
        f"run: {extras.remedy(extra)}"
    )
