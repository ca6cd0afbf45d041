"""Implements Arbiter's evaluators: `semantic`, `custom_criteria`, `factuality`, `groundedness`, `relevance`,
`pairwise`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from loom_ai.batches.protocols.support import see_that_it_speaks_batches
from loom_ai.http.endpoints import endpoint_of
from loom_common.contracts.v1 import TransformedRecord
from loom_common.domain.definition import evaluators as config
from loom_common.domain.definition.evaluation import EvaluateConfig
from loom_common.domain.model_options.asking import refused_option
from loom_common.domain.model_options.providers import ProviderConfig
from loom_common.domain.values.durations import seconds
from loom_common.errors import LoomError, PermanentError
from loom_evaluator.evaluation_call import EvaluationCall
from loom_evaluator.evaluators.arbiter_package import arbiter
from loom_evaluator.evaluators.baselines import Baselines
from loom_evaluator.evaluators.fields import input_text, output_text
from loom_evaluator.evaluators.judge import JudgeClient, JudgeConfig
from loom_evaluator.evaluators.opinion import ModelRule, Opinion, cannot_score, score_of

_CLASSES: dict[type[config.ModelJudged], str] = {
    config.Semantic: "SemanticEvaluator",
    config.CustomCriteria: "CustomCriteriaEvaluator",
    config.Factuality: "FactualityEvaluator",
    config.Groundedness: "GroundednessEvaluator",
    config.Relevance: "RelevanceEvaluator",
    config.Pairwise: "PairwiseComparisonEvaluator",
}


NOTHING_TO_COMPARE = Opinion(0.5, "The run to compare with has no output for this record: a tie.")


class Question(NamedTuple):
    """Represents what Arbiter's `evaluate` is given. What it calls the reference is, by evaluator, an expected answer,
    a source, a query or another answer."""

    output: str
    reference: str | None
    criteria: str | None


def arbiter_rule(
    settings: config.ModelJudged,
    section: EvaluateConfig,
    providers: Mapping[str, ProviderConfig],
    pipeline: str = "",
    purpose: str = "evaluate",
) -> ModelRule:
    """Return the evaluator ready to score; its calls are entered with `purpose` in the books. Raises `PermanentError`
    where Arbiter is not installed, or the model's provider has not the batches or the options that the section asks
    for."""
    package = arbiter()
    evaluator_class = getattr(package, _CLASSES[type(settings)])
    model, base_url, api_key = section.endpoint_settings(settings, providers)
    endpoint = endpoint_of(model, base_url, providers=providers, api_key=api_key)
    if section.speaks_to(settings, providers):
        endpoint = replace(endpoint, extras=endpoint.extras.outweighed_by(section.extras))
    timeout = seconds(settings.timeout) if settings.timeout else endpoint.timeout or seconds(settings.usual_timeout)
    deadline = section.execution.batch_deadline
    if deadline is not None:
        see_that_it_speaks_batches(endpoint.provider, endpoint.served_by)
    asking = section.asking
    if purpose != "evaluate" or (section.model is not None and model != section.model):
        asking = asking.of_another_model(endpoint.provider)
    elif (refused := refused_option(asking, model, endpoint.provider)) is not None:
        raise PermanentError(refused)
    client = JudgeClient(endpoint, timeout, settings.temperature, settings.max_tokens, purpose, deadline, asking)

    baselines = None
    if isinstance(settings, config.Pairwise) and settings.baseline is not None:
        baselines = Baselines(settings.name, settings.baseline, pipeline, settings.field)

    async def rule(record: TransformedRecord, evaluation_call: EvaluationCall) -> Opinion:
        if baselines is not None and isinstance(settings, config.Pairwise):
            output = output_text(record, settings.field)
            baseline = await baselines.of(evaluation_call, client.call(), output)
            if not (baseline or "").strip():
                return NOTHING_TO_COMPARE
            asked = Question(output, baseline, _words(settings.criteria))
        else:
            asked = question(settings, record)
        # An evaluator keeps what it was asked last, and every question it ever asked: each record has its own.
        evaluator = evaluator_class(JudgeConfig(client, evaluation_call))
        try:
            score = await evaluator.evaluate(*asked)
        except package.EvaluatorError as error:
            raise _meant(error) from error
        return Opinion(score_of(score.value), score.explanation, score.confidence)

    return rule


def question(settings: config.ModelJudged, record: TransformedRecord) -> Question:
    """Return what is asked about a record. Raises `RecordError` where a field it needs is missing or empty: Arbiter
    would put another question in its place, or pay to be told that something is missing."""
    output = output_text(record, settings.field)
    match settings:
        case config.Semantic():
            return Question(output, input_text(record, settings.reference_field), None)
        case config.CustomCriteria():
            return Question(output, _if_named(record, settings.reference_field), _words(settings.criteria))
        case config.Factuality():
            return Question(output, _if_named(record, settings.source_field), _words(settings.criteria))
        case config.Groundedness():
            return Question(output, input_text(record, settings.source_field), _words(settings.criteria))
        case config.Relevance():
            return Question(output, input_text(record, settings.query_field), _words(settings.criteria))
        case config.Pairwise():
            return Question(output, input_text(record, settings.baseline_field or ""), _words(settings.criteria))
        case _:
            raise AssertionError(f"no evaluator of Arbiter's: {settings!r}")


def _if_named(record: TransformedRecord, field: str | None) -> str | None:
    return None if field is None else input_text(record, field)


def _words(criteria: str | list[str] | None) -> str | None:
    return "\n".join(f"- {each}" for each in criteria) if isinstance(criteria, list) else criteria


def _meant(error: Any) -> LoomError:
    """Return what is meant: Arbiter wraps whatever is raised within, and what Loom raised there comes out as it was."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, LoomError):
            return cause
        cause = cause.__cause__
    return cannot_score(f"{error}: {(error.details or {}).get('error', '')}".rstrip(": "))
