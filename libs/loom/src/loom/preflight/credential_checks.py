"""Checks whether every credential that a pipeline refers to is there, and every provider that needs a key has one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from loom.preflight.model_calls.model_endpoints import endpoints
from loom.project.definition_file import LoadedPipeline
from loom_common.config.credentials import Credentials, references
from loom_common.domain.checks.check import Check
from loom_common.domain.definition.across_sections import cheap_models
from loom_common.domain.definition.evaluation import EvaluateConfig
from loom_common.domain.definition.evaluator_kinds import with_cheap_tiers
from loom_common.domain.definition.evaluators import ModelJudged
from loom_common.domain.definition.pipeline import Pipeline
from loom_common.domain.definition.transforms.ai import AiTransformConfig
from loom_common.domain.definition.transforms.embed import EmbedTransformConfig
from loom_common.domain.model_options.providers import ADAPTED, known_provider, provider_named, split_model
from loom_common.domain.model_options.several_calls import Judge
from loom_common.domain.steps.joining import join_steps
from loom_common.domain.steps.views import by_step
from loom_common.errors import DependencyUnavailable
from loom_connectors.lookups.checks import lookups_in
from loom_connectors.lookups.opening import referring_texts_of
from loom_connectors.registry import referring_texts


def check(loaded: LoadedPipeline, credentials: Credentials) -> list[Check]:
    """Return one failed check for each credential that is missing, or one check that passed."""
    texts = list(_texts(loaded))
    named = sorted({reference for text in texts for reference in references(text)})
    failed = [
        Check(
            "credentials",
            ok=False,
            detail=f"{_place(reference, loaded)}{error}",
            away=isinstance(error, DependencyUnavailable),
        )
        for reference in named
        for error in credentials.missing(reference)
    ]
    keyless = [Check("credentials", ok=False, detail=words) for words in _without_key(loaded.pipeline, credentials)]
    return [*failed, *keyless] or [
        Check("credentials", ok=True, detail=f"{', '.join(named)}: set" if named else "none needed")
    ]


def _place(reference: str, loaded: LoadedPipeline) -> str:
    """Return `file:line:column: ` of where a reference is written; empty where the file does not have it."""
    path = next(_paths_to(reference, loaded.document.data, ()), None)
    if path is None or not loaded.document.file:
        return ""
    return ":".join(str(part) for part in loaded.document.locate(path)) + ": "


def _paths_to(reference: str, value: object, path: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _paths_to(reference, each, (*path, key))
    elif isinstance(value, list):
        for position, each in enumerate(value):
            yield from _paths_to(reference, each, (*path, position))
    elif isinstance(value, str) and reference in value:
        yield path


def _without_key(pipeline: Pipeline, credentials: Credentials) -> list[str]:
    """Known providers that are asked at their usual address, where nobody is answered without a key, and have none."""
    keyless = {}
    for endpoint in endpoints(pipeline):
        known = provider_named(endpoint.provider)
        if endpoint.base_url != known.base_url or endpoint.provider in ADAPTED or endpoint.api_key is not None:
            continue
        for error in credentials.missing(known.key or ""):
            keyless[endpoint.provider] = f"{endpoint.provider} asks for a key. {error}"
    return list(keyless.values())


def _texts(loaded: LoadedPipeline) -> Iterator[str]:
    """Yield everything that credentials are put into."""
    for _, alone in by_step(loaded.pipeline):
        yield from _texts_of(alone)
    for _, config in lookups_in(loaded.pipeline):
        yield from referring_texts_of(config)
    for step in join_steps(loaded.pipeline):
        yield from referring_texts(step.source, step.options)


def _texts_of(pipeline: Pipeline) -> Iterator[str]:
    ai = pipeline.transform if isinstance(pipeline.transform, AiTransformConfig | EmbedTransformConfig) else None
    yield from referring_texts(pipeline.extract.source, pipeline.extract.options)
    yield from referring_texts(pipeline.load.destination, pipeline.load.options)
    asked = {split_model(model, pipeline.providers)[0] for model in _models(pipeline)}
    connections = (each for name, each in pipeline.providers.items() if name in asked)
    named = (text for each in connections for text in (each.base_url, each.api_key))
    elsewhere = {name for name, each in pipeline.providers.items() if each.base_url is not None}
    if ai is None or ai.base_url is None:
        yield from (known.base_url for name in sorted(asked - elsewhere) if (known := known_provider(name)) is not None)
    judges = (text for each in _judges(pipeline) for text in (each.base_url, each.api_key))
    if pipeline.evaluate is not None:
        yield from pipeline.evaluate.headers.values()
    alerts = pipeline.monitoring.alerts
    if alerts is not None:
        yield from alerts.texts
    asking = (ai.base_url, ai.api_key, *ai.headers.values()) if ai is not None else ()
    optional = (pipeline.load.fallback, *asking, *named, *judges)
    yield from (text for text in optional if text is not None)


def _judges(pipeline: Pipeline) -> list[ModelJudged | EvaluateConfig | Judge]:
    """Return everything that says how a judging model is reached."""
    evaluate, transform = pipeline.evaluate, pipeline.transform
    picking: tuple[Judge, ...] = transform.judges if isinstance(transform, AiTransformConfig) else ()
    evaluators = with_cheap_tiers(evaluate.evaluators) if evaluate else ()
    judged = [each for each in evaluators if isinstance(each, ModelJudged)]
    asked: list[ModelJudged | EvaluateConfig | Judge] = [*picking]
    return [*asked, evaluate, *judged] if evaluate and judged else asked


def _models(pipeline: Pipeline) -> Iterator[str]:
    """Yield every model that is named."""
    transform, evaluate = pipeline.transform, pipeline.evaluate
    evaluators = with_cheap_tiers(evaluate.evaluators) if evaluate else ()
    judges = [each for each in evaluators if isinstance(each, ModelJudged)]
    asked = transform.model if isinstance(transform, AiTransformConfig | EmbedTransformConfig) else None
    picking = transform.judges if isinstance(transform, AiTransformConfig) else ()
    others = [model for _, model in cheap_models(pipeline) if isinstance(model, str)]
    others += [each.model for each in picking if each.model is not None]
    others += [each.model for each in judges if each.model is not None]
    given = (asked, evaluate.model if evaluate else None, *others)
    yield from (model for model in given if model is not None)
    yield from transform.fallback.models if transform.fallback else ()
