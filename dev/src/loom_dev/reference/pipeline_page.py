"""Generates `docs/pipeline.md` from the models of a pipeline file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel

from loom_common.domain.definition import evaluation, evaluator_kinds, extract, ingest, load, monitoring, pipeline
from loom_common.domain.definition.evaluators import Evaluator
from loom_common.domain.definition.failures.fallback import FallbackConfig
from loom_common.domain.definition.failures.timeouts import Timeouts
from loom_common.domain.definition.judge_cascade import JudgeCascadeConfig
from loom_common.domain.definition.transforms.cascade import CascadeConfig, CheapTier, ConfidenceConfig
from loom_common.domain.definition.transforms.kinds import TRANSFORMS
from loom_common.domain.definition.transforms.transform import TransformConfig
from loom_common.domain.incremental.settings import IncrementalConfig
from loom_common.domain.model_options.attachments import AttachmentConfig
from loom_common.domain.model_options.caching import CacheConfig
from loom_common.domain.model_options.params import ParamSpec
from loom_common.domain.model_options.pricing import ModelPrice
from loom_common.domain.model_options.providers import ProviderConfig, RateLimit
from loom_common.domain.model_options.question_parts import ExamplesConfig, TurnConfig
from loom_common.domain.model_options.several_calls import Gleaning, Judge, ToolConfig
from loom_common.domain.ontology.config import OntologyConfig
from loom_common.domain.quality.check import RecordCheck, RunCheck
from loom_common.domain.quality.kinds import CHECKS
from loom_common.domain.schema.contract import SchemaConfig
from loom_common.domain.steps.keys import StepKeys
from loom_common.domain.steps.operators import OPERATORS
from loom_common.domain.steps.profiles import ProfileConfig
from loom_dev.reference import failing_text, incremental_text, quality_text, schema_text
from loom_dev.reference import pipeline_text as text
from loom_dev.reference.markdown import page
from loom_dev.reference.model_tables import doc, fields

EXAMPLES = Path("examples/customer_sentiment")


def pipeline_page() -> str:
    """Return the reference of the pipeline file."""
    sections: list[tuple[str, type[BaseModel], str]] = [
        ("Top level", pipeline.Pipeline, ""),
        ("`params`", ParamSpec, text.PARAMS),
        ("`extract`", extract.ExtractConfig, text.EXTRACT),
        ("`ingest`", ingest.IngestConfig, text.INGEST),
        ("`transform`", TransformConfig, text.TRANSFORM + _transforms()),
        ("`transform.steps[]`", StepKeys, text.STEPS + _deciding()),
        ("`transform.messages`", TurnConfig, text.MESSAGES),
        ("`transform.examples`", ExamplesConfig, text.EXAMPLES),
        ("`transform.attachments`", AttachmentConfig, text.ATTACHMENTS),
        ("`transform.cache`", CacheConfig, ""),
        ("`transform.fallback`", FallbackConfig, ""),
        ("`transform.judge`", Judge, ""),
        ("`transform.gleaning`", Gleaning, ""),
        ("`transform.tools`", ToolConfig, ""),
        ("`transform.cascade`", CascadeConfig, ""),
        ("`transform.cascade.cheap`", CheapTier, ""),
        ("`transform.cascade.confidence`", ConfidenceConfig, ""),
        ("`evaluate`", evaluation.EvaluateConfig, text.EVALUATE),
        ("`evaluate.evaluators[].cascade`", JudgeCascadeConfig, ""),
        ("`load`", load.LoadConfig, text.LOAD),
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
        ("`ontology`", OntologyConfig, text.ONTOLOGY),
        ("`profiles.NAME`", ProfileConfig, text.PROFILES),
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
        incremental_text.SEVERAL_RUNS,
        text.IDENTITY,
        text.FILES,
        text.CREDENTIALS,
    ]
    return page(parts)


def _transforms() -> str:
    models = {f"type: {name}": model for name, model in TRANSFORMS.items()}
    return "\n" + _kinds(models, TransformConfig)


def _deciding() -> str:
    return "\n" + _kinds({f"type: {name}": model for name, model in OPERATORS.items()}, StepKeys)


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
