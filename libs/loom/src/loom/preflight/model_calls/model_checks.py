"""Checks whether the models and evaluators that a pipeline names can be asked: by a known provider, with what they
need."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

from loom.preflight.model_calls.model_endpoints import endpoints, example_endpoint, step_embedding_endpoint
from loom_ai import word_vectors
from loom_ai.adapted import package
from loom_ai.attachments.taken import see_that_they_are_taken
from loom_ai.http.endpoints import endpoint_of, endpoints_of
from loom_common.domain.checks.check import Check
from loom_common.domain.definition.evaluator_kinds import with_cheap_tiers
from loom_common.domain.definition.evaluators import EmbeddingSimilarity, ModelJudged
from loom_common.domain.definition.pipeline import Pipeline
from loom_common.domain.definition.transforms.ai import AiTransformConfig
from loom_common.domain.definition.transforms.embed import EmbedTransformConfig
from loom_common.domain.definition.transforms.scorer import ScorerTransformConfig
from loom_common.domain.model_options.asking import Asking, refused_option
from loom_common.domain.model_options.providers import (
    ADAPTED,
    PROVIDERS,
    has_embeddings,
    has_tools,
    protocol_of,
    provider_names,
)
from loom_common.domain.model_options.scorers import is_onnx
from loom_common.domain.steps.views import by_step, comparing_steps
from loom_common.errors import PermanentError
from loom_evaluator.evaluators import arbiter_package
from loom_transformer.scoring import onnx_file


def check(pipeline: Pipeline) -> list[Check]:
    """Return what is wrong with the models and evaluators, and which further packages they use."""
    whole = (_strange_to_openai, _comparing, _adapted, _evaluators, _asking_judges)
    of_transform = (_unspoken, _nearest, _onnx, _attachments, _asking)
    found = [each for look in whole for each in look(pipeline)]
    return [*found, *(each for _, alone in by_step(pipeline) for look in of_transform for each in look(alone))]


def _strange_to_openai(pipeline: Pipeline) -> list[Check]:
    """Find models whose name says that somebody else serves them, and that OpenAI would be asked for."""
    usual = PROVIDERS["openai"].base_url
    names = [each.model for each in endpoints(pipeline) if each.base_url == usual]
    strange = [name for name in dict.fromkeys(names) if "/" in name or (":" in name and not name.startswith("ft:"))]
    return [
        Check(
            "models",
            ok=False,
            detail=f"{name} would be asked of OpenAI, which has no such model. Name its provider (`provider:model`, "
            f"one of {', '.join(provider_names())}, or of `providers`), "
            "or where it is served: `base_url`, OPENAI_BASE_URL",
        )
        for name in strange
    ]


def _unspoken(pipeline: Pipeline) -> list[Check]:
    """Find models that are asked for what Loom's protocol for their provider has not."""
    transform = pipeline.transform
    if isinstance(transform, EmbedTransformConfig):
        what, speaks = "embeddings", has_embeddings
    elif isinstance(transform, AiTransformConfig) and transform.tools:
        what, speaks = "tools", has_tools
    else:
        return []
    own = 1 + len(transform.fallback.models if transform.fallback else ())
    kinds = {each.provider for each in islice(endpoints(pipeline), own)}
    return [
        Check("models", ok=False, detail=f"Loom has no {what} for {kind}. Name a model of another provider")
        for kind in sorted(kinds)
        if not speaks(kind)
    ]


def _comparing(pipeline: Pipeline) -> list[Check]:
    """Find steps that compare records by a model of a provider of which Loom asks for no embeddings."""
    asked = [(step, step_embedding_endpoint(step, pipeline.providers).provider) for step in comparing_steps(pipeline)]
    words = "Step {}: Loom has no embeddings for {}. Name a model of another provider"
    return [
        Check("models", ok=False, detail=words.format(step.name, kind))
        for step, kind in asked
        if not has_embeddings(kind)
    ]


def _adapted(pipeline: Pipeline) -> list[Check]:
    """Check whether what the providers need that Loom does not speak to itself is installed."""
    kinds = {endpoint.provider for endpoint in endpoints(pipeline)} & ADAPTED
    lacking = [package.missing_package_message(kind) for kind in sorted(kinds) if package.missing(kind)]
    if lacking:
        return [Check("models", ok=False, detail=words) for words in lacking]
    return [Check("models", ok=True, detail=f"{', '.join(sorted(kinds))}: what it needs is installed")] if kinds else []


def _evaluators(pipeline: Pipeline) -> list[Check]:
    """Check whether what the evaluators are made of is installed, where they are made of something that is not
    Loom's."""
    evaluators = list(with_cheap_tiers(pipeline.evaluate.evaluators)) if pipeline.evaluate else []
    judges = ", ".join(each.name for each in evaluators if isinstance(each, ModelJudged))
    measures = ", ".join(each.name for each in evaluators if isinstance(each, EmbeddingSimilarity))
    checks = []
    if judges and arbiter_package.installed():
        checks.append(Check("evaluators", ok=True, detail=f"{judges}: Arbiter is installed"))
    elif judges:
        checks.append(Check("evaluators", ok=False, detail=f"{judges}: needs Arbiter. {arbiter_package.remedy()}"))
    return [*checks, _embedding(measures)] if measures else checks


def _nearest(pipeline: Pipeline) -> list[Check]:
    """Check whether the nearest examples can be found, where the transform shows those."""
    transform = pipeline.transform
    examples = transform.examples if isinstance(transform, AiTransformConfig) else None
    if examples is None or examples.choose != "nearest":
        return []
    assert isinstance(transform, AiTransformConfig)
    if (endpoint := example_endpoint(transform, pipeline.providers)) is not None:
        if has_embeddings(endpoint.provider):
            return [Check("examples", ok=True, detail=f"{examples.file}: {endpoint.model} finds the nearest examples")]
        words = f"{examples.file}: Loom has no embeddings for {endpoint.provider}. Name a model of another provider"
        return [Check("examples", ok=False, detail=words)]
    if word_vectors.installed():
        return [Check("examples", ok=True, detail=f"{examples.file}: the embedding model is installed")]
    words = f"{examples.file}: the nearest examples need an embedding model. "
    return [Check("examples", ok=False, detail=words + word_vectors.remedy("transformers"))]


def _onnx(pipeline: Pipeline) -> list[Check]:
    """Check whether what runs a model in the ONNX format is installed, where the transform or its cheap tier is one."""
    transform = pipeline.transform
    cascade = transform.cascade if isinstance(transform, AiTransformConfig) else None
    scorer = transform.scorer if isinstance(transform, ScorerTransformConfig) else cascade and cascade.cheap.scorer
    if not is_onnx(scorer):
        return []
    if onnx_file.installed():
        return [Check("scorer", ok=True, detail=f"{scorer}: ONNX Runtime is installed")]
    return [Check("scorer", ok=False, detail=f"{scorer}: needs ONNX Runtime. {onnx_file.remedy()}")]


def _attachments(pipeline: Pipeline) -> list[Check]:
    """Check whether the models of the transform take its attachments."""
    transform = pipeline.transform
    if not isinstance(transform, AiTransformConfig) or not transform.attachments:
        return []
    others = transform.fallback.models if transform.fallback else ()
    asked = endpoints_of((transform.model, *others), transform.base_url, providers=pipeline.providers)
    try:
        see_that_they_are_taken(transform.attachments, {protocol_of(each.provider) for each in asked})
    except PermanentError as error:
        return [Check("attachments", ok=False, detail=str(error))]
    kinds = ", ".join(dict.fromkeys(each.kind for each in transform.attachments))
    return [Check("attachments", ok=True, detail=f"{transform.model} takes {kinds}")]


def _asking(pipeline: Pipeline) -> list[Check]:
    """Find options of how a model is asked (`seed`, `reasoning`, `logprobs`, `cache_prompt`) that the protocol of its
    provider does not have."""
    transform = pipeline.transform
    if not isinstance(transform, AiTransformConfig):
        return []
    asked = [(replace(transform.asking, logprobs=transform.logprobs is not None), transform.model)]
    cascade = transform.cascade
    if cascade is not None and cascade.confidence.logprobs is not None:
        asked.append((Asking(logprobs=True), cascade.cheap.model or ""))
    return _refused(asked, pipeline)


def _asking_judges(pipeline: Pipeline) -> list[Check]:
    """Find the same of the model of `evaluate`."""
    evaluate = pipeline.evaluate
    return [] if evaluate is None or evaluate.model is None else _refused([(evaluate.asking, evaluate.model)], pipeline)


def _refused(asked: list[tuple[Asking, str]], pipeline: Pipeline) -> list[Check]:
    words = [
        refused_option(asking, model, endpoint_of(model, providers=pipeline.providers).provider)
        for asking, model in asked
    ]
    return [Check("models", ok=False, detail=each.rstrip(".")) for each in words if each is not None]


def _embedding(measures: str) -> Check:
    from loom_evaluator.evaluators import embedding

    if embedding.installed():
        return Check("evaluators", ok=True, detail=f"{measures}: the embedding model is installed")
    return Check(
        "evaluators", ok=False, detail=f"{measures}: needs an embedding model. {word_vectors.remedy('evaluators')}"
    )
