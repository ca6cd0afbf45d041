"""Chooses the rule that a definition names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import assert_never

from loom_common.domain.definition import evaluators as config
from loom_common.domain.definition.evaluation import EvaluateConfig
from loom_common.domain.definition.evaluator_kinds import EvaluatorConfig, PluginEvaluator
from loom_common.domain.model_options.providers import ProviderConfig
from loom_evaluator.evaluators.bounds import in_range, length
from loom_evaluator.evaluators.embedding import embedding_similarity
from loom_evaluator.evaluators.opinion import AsyncRule, ModelRule, Rule
from loom_evaluator.evaluators.python import python
from loom_evaluator.evaluators.text import contains, exact_match, regex


def model_rule_of(
    settings: config.ModelJudged,
    section: EvaluateConfig,
    providers: Mapping[str, ProviderConfig] | None = None,
    pipeline: str = "",
    purpose: str = "evaluate",
) -> ModelRule:
    """Return the evaluator ready to ask its model. Raises `PermanentError` where what it is made of is not
    installed."""
    from loom_evaluator.evaluators.arbiter import arbiter_rule  # few pipelines ask a model to judge

    return arbiter_rule(settings, section, providers or {}, pipeline, purpose)


def rule_of(settings: EvaluatorConfig, folder: Path) -> Rule | AsyncRule:
    """Return the evaluator ready to score. `folder` is where the user's modules lie. Raises `PermanentError`."""
    match settings:
        case config.ExactMatch():
            return exact_match(settings)
        case config.Contains():
            return contains(settings)
        case config.Regex():
            return regex(settings)
        case config.JsonSchema():
            from loom_evaluator.evaluators.json_schema import json_schema  # it imports jsonschema

            return json_schema(settings)
        case config.Range():
            return in_range(settings)
        case config.Length():
            return length(settings)
        case config.PythonEvaluator() | PluginEvaluator():
            return python(settings, folder)
        case config.EmbeddingSimilarity():
            return embedding_similarity(settings)
        case config.ModelJudged():
            raise AssertionError(f"evaluator {settings.name} asks a model: see model_rule_of")
        case unreachable:
            assert_never(unreachable)
