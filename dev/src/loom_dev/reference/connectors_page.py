"""Generates `docs/connectors.md` from the models of the connectors' options."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import BaseModel

from loom_connectors.bigquery.options import BigQueryDestinationOptions, BigQuerySourceOptions
from loom_connectors.formats.arrow.column_format import ColumnSourceOptions
from loom_connectors.formats.arrow.feather import FeatherDestinationOptions
from loom_connectors.formats.arrow.parquet import ParquetDestinationOptions
from loom_connectors.formats.csv import CsvDestinationOptions, CsvSourceOptions
from loom_connectors.formats.documents.excel import ExcelDestinationOptions, ExcelSourceOptions
from loom_connectors.formats.documents.toml import TomlOptions
from loom_connectors.formats.documents.yaml import YamlOptions
from loom_connectors.formats.json_array import JsonArrayDestinationOptions, JsonArrayOptions
from loom_connectors.formats.jsonl import JsonLinesOptions, JsonLinesSourceOptions
from loom_connectors.inbox.options import InboxOptions
from loom_connectors.kafka.options import KafkaOptions
from loom_connectors.options import NoOptions
from loom_connectors.rabbitmq.options import ExchangeOptions, QueueOptions
from loom_connectors.redis_streams.options import RedisStreamOptions
from loom_connectors.rest.http.options import Auth, Pagination, RestDestinationOptions, RestSourceOptions
from loom_connectors.snowflake.options import SnowflakeDestinationOptions, SnowflakeSourceOptions
from loom_connectors.sql.parameters import SqlDestinationOptions, SqlSourceOptions
from loom_dev.reference.connectors.begin import CONNECTORS
from loom_dev.reference.connectors.databases import DATABASES
from loom_dev.reference.connectors.formats import FORMATS
from loom_dev.reference.connectors.services import SERVICES
from loom_dev.reference.connectors.storages import STORAGES
from loom_dev.reference.markdown import page
from loom_dev.reference.model_tables import doc, fields, model_in

_SAID = {**FORMATS, **DATABASES, **SERVICES}


def connectors_page() -> str:
    """Return the reference of the connectors."""
    parts = [CONNECTORS]
    options: dict[str, tuple[type[BaseModel], type[BaseModel]]] = {
        "CSV files": (CsvSourceOptions, CsvDestinationOptions),
        "JSON Lines files": (JsonLinesSourceOptions, JsonLinesOptions),
        "JSON files": (JsonArrayOptions, JsonArrayDestinationOptions),
        "Parquet files": (ColumnSourceOptions, ParquetDestinationOptions),
        "Arrow files": (ColumnSourceOptions, FeatherDestinationOptions),
        "Excel workbooks": (ExcelSourceOptions, ExcelDestinationOptions),
        "YAML files": (YamlOptions, NoOptions),
        "TOML files": (TomlOptions, NoOptions),
        "SQLite, DuckDB, MySQL and Postgres": (SqlSourceOptions, SqlDestinationOptions),
        "SQL Server": (SqlSourceOptions, SqlDestinationOptions),
        "Snowflake": (SnowflakeSourceOptions, SnowflakeDestinationOptions),
        "BigQuery": (BigQuerySourceOptions, BigQueryDestinationOptions),
        "Queues and exchanges: RabbitMQ": (QueueOptions, ExchangeOptions),
        "Redis streams": (RedisStreamOptions, NoOptions),
        "Kafka": (KafkaOptions, NoOptions),
        "Records over HTTP": (InboxOptions, NoOptions),
        "REST APIs": (RestSourceOptions, RestDestinationOptions),
    }
    for title, (source, destination) in options.items():
        parts.append(f"## {title}\n\n{_SAID[title].strip()}\n")
        for section, model in (("extract.options", source), ("load.options", destination)):
            if model.model_fields:
                parts.append(f"`{section}`:\n\n{fields(model)}")
                parts += [
                    f"`{section}.{name}`:\n\n{fields(inner)}"
                    for name, field in model.model_fields.items()
                    if (inner := model_in(field.annotation)) and not _is_shared(name, section, source)
                ]
        if title == "REST APIs":
            parts += [_by_type("auth", Auth), _by_type("pagination", Pagination)]
    return page([*parts, STORAGES])


def _is_shared(name: str, section: str, source: type[BaseModel]) -> bool:
    """Tell whether the table of a section was shown for the source."""
    return section == "load.options" and name in source.model_fields


def _by_type(key: str, union: Any) -> str:
    """Return a table for each type that a section of a connector's options may have."""
    parts = []
    for model in get_args(get_args(union)[0]):
        (name,) = get_args(model.model_fields["type"].annotation)
        own = set(model.model_fields) - {"type"}
        parts.append(f"`{key}` of the type `{name}`: {doc(model)}\n" + (f"\n{fields(model, only=own)}" if own else ""))
    return "\n".join(parts)
