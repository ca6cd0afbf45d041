"""Finds the models that a pipeline may ask. It imports nothing that asks them, because most checks of pipelines without
models need no more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from loom_ai.http.endpoints import Endpoint, embedding_endpoint, endpoint_of, endpoints_of, judge_endpoint
from loom_common.domain.definition.evaluator_kinds import with_cheap_tiers
from loom_common.domain.definition.evaluators import ModelJudged
from loom_common.domain.definition.pipeline import Pipeline
from loom_common.domain.definition.transforms.ai import AiTransformConfig
from loom_common.domain.definition.transforms.embed import EmbedTransformConfig
from loom_common.domain.model_options.providers import ProviderConfig
from loom_common.domain.steps.joining import JoinStep
from loom_common.domain.steps.resolving import ResolveStep
from loom_common.domain.steps.views import by_step, comparing_steps


def endpoints(pipeline: Pipeline) -> Iterator[Endpoint]:
    """Yield the endpoint of every model that the pipeline may ask."""
    yield from endpoints_of_transform(pipeline)
    yield from endpoints_of_judges(pipeline)


def endpoints_of_transform(pipeline: Pipeline) -> Iterator[Endpoint]:
    """Yield the endpoint of the model of the transform, or of each of its steps, and of those that may answer in its
    place."""
    for _, alone in by_step(pipeline):
        yield from _endpoints_of_step(alone)
    for step in comparing_steps(pipeline):
        yield step_embedding_endpoint(step, pipeline.providers)


def step_embedding_endpoint(step: JoinStep | ResolveStep, providers: Mapping[str, ProviderConfig]) -> Endpoint:
    """Return the endpoint of the model by whose vectors a step compares records."""
    assert step.embedding is not None
    return embedding_endpoint(step.embedding, (step.model, step.base_url, step.api_key), providers)


def _endpoints_of_step(pipeline: Pipeline) -> Iterator[Endpoint]:
    transform = pipeline.transform
    if isinstance(transform, AiTransformConfig):
        cheap = [model for model in (transform.cascade.cheap.model,) if model] if transform.cascade else []
        others = transform.fallback.models if transform.fallback else ()
        yield from endpoints_of(
            (transform.model, *cheap, *others), transform.base_url, transform.api_key, providers=pipeline.providers
        )
        asked = (transform.model, transform.base_url, transform.api_key)
        for each in transform.judges:
            yield judge_endpoint(
                each.model or transform.model, each.base_url, each.api_key, asked, providers=pipeline.providers
            )
        if (embedding := example_endpoint(transform, pipeline.providers)) is not None:
            yield embedding
    if isinstance(transform, EmbedTransformConfig):
        yield endpoint_of(transform.model, transform.base_url, providers=pipeline.providers, api_key=transform.api_key)


def example_endpoint(transform: AiTransformConfig, providers: Mapping[str, ProviderConfig]) -> Endpoint | None:
    """Return the endpoint of the model that finds the nearest examples; None where none does."""
    embedding = None if transform.examples is None else transform.examples.embedding
    if embedding is None:
        return None
    return embedding_endpoint(embedding, (transform.model, transform.base_url, transform.api_key), providers)


def endpoints_of_judges(pipeline: Pipeline) -> Iterator[Endpoint]:
    """Yield the endpoint of every evaluator that asks a model."""
    evaluate = pipeline.evaluate
    for judge in with_cheap_tiers(evaluate.evaluators) if evaluate else ():
        if not isinstance(judge, ModelJudged) or evaluate is None:
            continue
        model = judge.model or evaluate.model
        if model is not None:
            yield endpoint_of(
                model, judge.base_url or evaluate.base_url, providers=pipeline.providers, api_key=evaluate.api_key
            )
