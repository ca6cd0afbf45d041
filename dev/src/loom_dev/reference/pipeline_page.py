"""Generates `docs/pipeline.md` from the models of a pipeline file and of the connectors' options."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from loom_common.domain.definition import caching, evaluation, evaluator_kinds, monitoring, pipeline, transform
from loom_common.domain.definition.evaluators import Evaluator
from loom_common.domain.definition.failing import FallbackConfig
from loom_common.domain.definition.timeouts import Timeouts
from loom_common.domain.incremental.settings import IncrementalConfig
from loom_common.domain.model_options.params import ParamSpec
from loom_common.domain.model_options.pricing import ModelPrice
from loom_common.domain.model_options.providers import ProviderConfig, RateLimit
from loom_common.domain.quality.check import RecordCheck, RunCheck
from loom_common.domain.quality.kinds import CHECKS
from loom_common.domain.schema.contract import SchemaConfig
from loom_connectors.formats.arrow.column_format import ColumnSourceOptions
from loom_connectors.formats.arrow.feather import FeatherDestinationOptions
from loom_connectors.formats.arrow.parquet import ParquetDestinationOptions
from loom_connectors.formats.csv import CsvDestinationOptions, CsvSourceOptions
from loom_connectors.formats.documents.excel import ExcelDestinationOptions, ExcelSourceOptions
from loom_connectors.formats.documents.toml import TomlOptions
from loom_connectors.formats.documents.yaml import YamlOptions
from loom_connectors.formats.json_array import JsonArrayDestinationOptions, JsonArrayOptions
from loom_connectors.formats.jsonl import JsonLinesOptions, JsonLinesSourceOptions
from loom_connectors.options import NoOptions
from loom_connectors.rabbitmq.options import ExchangeOptions, QueueOptions
from loom_connectors.rest.http.options import Auth, Pagination, RestDestinationOptions, RestSourceOptions
from loom_connectors.sql.parameters import SqlDestinationOptions, SqlSourceOptions
from loom_dev.reference import connectors_text, failing_text, incremental_text, quality_text, schema_text
from loom_dev.reference import pipeline_text as text
from loom_dev.reference.markdown import page
from loom_dev.reference.model_tables import doc, fields, model_in

EXAMPLES = Path("examples/customer_sentiment")


def pipeline_page() -> str:
    """Return the reference of the pipeline file."""
    sections: list[tuple[str, type[BaseModel], str]] = [
        ("Top level", pipeline.Pipeline, ""),
        ("`params`", ParamSpec, text.PARAMS),
        ("`extract`", pipeline.ExtractConfig, text.EXTRACT),
        ("`transform`", transform.TransformConfig, text.TRANSFORM + _transforms()),
        ("`transform.cache`", caching.CacheConfig, ""),
        ("`transform.fallback`", FallbackConfig, ""),
        ("`evaluate`", evaluation.EvaluateConfig, text.EVALUATE),
        ("`load`", pipeline.LoadConfig, text.LOAD),
        ("`providers`", ProviderConfig, text.PROVIDERS),
        ("`rate_limit`", RateLimit, text.RATE_LIMIT),
        ("`monitoring`", monitoring.MonitoringConfig, text.MONITORING),
        ("`monitoring.quality_threshold`", monitoring.QualityThreshold, ""),
        ("`monitoring.latency_sla`", monitoring.LatencySla, ""),
        ("`monitoring.cost_spike`", monitoring.CostSpike, ""),
        ("`monitoring.score_degradation`", monitoring.ScoreDegradation, ""),
        ("`monitoring.alerts`", monitoring.AlertsConfig, ""),
        ("`prices`", ModelPrice, ""),
        ("`timeouts`", Timeouts, text.TIMEOUTS),
    ]
    parts = [text.PIPELINE_INTRO, f"```yaml\n{(EXAMPLES / 'pipeline-llm.yaml').read_text(encoding='utf-8')}```\n"]
    parts += [f"## {title}\n\n{doc(model)}\n\n{fields(model)}{more}" for title, model, more in sections]
    parts.append(failing_text.FAILING)
    parts += [
        text.OUTPUT,
        text.GATES,
        _evaluators(),
        _checks(),
        schema_text.SCHEMA,
        fields(SchemaConfig),
        incremental_text.INCREMENTAL,
        fields(IncrementalConfig),
        _connectors(),
        text.IDENTITY,
        text.FILES,
        text.CREDENTIALS,
    ]
    return page(parts)


def _transforms() -> str:
    models = {f"type: {name}": model for name, model in transform.TRANSFORMS.items()}
    return "\n" + _kinds(models, transform.TransformConfig)


def _evaluators() -> str:
    return "\n".join((text.EVALUATORS, fields(Evaluator), _kinds(evaluator_kinds.EVALUATORS, Evaluator)))


def _checks() -> str:
    kinds = {f"`{name}`": model for name, model in CHECKS.items()}
    parts = [quality_text.QUALITY, fields(RecordCheck), quality_text.OF_A_RUN, fields(RunCheck)]
    for title, model in kinds.items():
        shared = RecordCheck if issubclass(model, RecordCheck) else RunCheck
        own = set(model.model_fields) - set(shared.model_fields) - {"check"}
        parts.append(f"### Check {title}\n\n{doc(model)}\n" + (f"\n{fields(model, only=own)}" if own else ""))
    return "\n".join(parts)


def _kinds(models: Mapping[str, type[BaseModel]], shared: type[BaseModel]) -> str:
    """Return a part for each model, by its title: what it is, and the keys that it has beside the `shared` ones."""
    parts = []
    for title, model in models.items():
        own = set(model.model_fields) - set(shared.model_fields) - {"type"}
        parts.append(f"### `{title}`\n\n{doc(model)}\n" + (f"\n{fields(model, only=own)}" if own else ""))
    return "\n".join(parts)


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


def _connectors() -> str:
    parts = [connectors_text.CONNECTORS]
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
        "Queues and exchanges: RabbitMQ": (QueueOptions, ExchangeOptions),
        "REST APIs": (RestSourceOptions, RestDestinationOptions),
    }
    for title, (source, destination) in options.items():
        parts.append(f"### {title}\n\n{connectors_text.CONNECTOR[title].strip()}\n")
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
    return "\n".join([*parts, connectors_text.STORAGES])
