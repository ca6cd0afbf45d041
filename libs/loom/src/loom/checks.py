"""What can be known before a run: that credentials are there, the source can be read, the destination written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from loom import model_prices
from loom.config import LoomConfig
from loom.definition_file import LoadedPipeline
from loom_ai import adapter_package
from loom_common.credentials import Credentials, EnvProvider, FileProvider, references
from loom_common.domain.evaluation import EvaluateConfig
from loom_common.domain.evaluators import EmbeddingSimilarity, ModelJudged
from loom_common.domain.output import json_schema
from loom_common.domain.params import typed
from loom_common.domain.pipeline import LoadConfig, Pipeline
from loom_common.domain.providers import ADAPTED, PROVIDERS, split_model
from loom_common.domain.urls import redacted
from loom_common.errors import InvalidDefinition, LoomError
from loom_connectors import registry
from loom_connectors.ports import Surroundings
from loom_evaluator.evaluators import arbiter_package, embedding


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    what: str
    """`credentials`, `source`, `models`, `evaluators`, `prices`, `destination` or `second destination`."""
    ok: bool
    detail: str
    records: int | None = None
    """How many records the source has, where that is known."""


async def check(loaded: LoadedPipeline, config: LoomConfig, params: dict[str, Any] | None = None) -> list[Check]:
    """Look at the surroundings of a pipeline. Nothing is read but the source's first page, nothing is written."""
    credentials = Credentials({"env": EnvProvider(prefix=config.credentials.prefix), "file": FileProvider()})
    texts = list(_texts(loaded))
    missing = dict.fromkeys(str(error) for text in texts for error in credentials.missing(text))
    if missing:
        return [Check("credentials", ok=False, detail=error) for error in missing]
    named = sorted({reference for text in texts for reference in references(text)})
    found = Check("credentials", ok=True, detail=f"{', '.join(named)}: set" if named else "none needed")
    schema = loaded.pipeline.transform.shape
    surroundings = Surroundings(
        folder=loaded.folder,
        credentials=credentials,
        params=_params(loaded, params or {}),
        output_schema=json_schema(schema) if schema else None,
    )
    load = loaded.pipeline.load
    checks = [found, await _source(loaded, surroundings), *_adapted(loaded.pipeline), *_evaluators(loaded.pipeline)]
    if (priced := model_prices.told(loaded.pipeline)) is not None:
        checks.append(Check("prices", ok=priced[0], detail=priced[1]))
    checks.append(await _destination(loaded, load, surroundings))
    if load.second is not None:
        checks.append(await _destination(loaded, load.second, surroundings, "second destination"))
    return checks


async def _source(loaded: LoadedPipeline, surroundings: Surroundings) -> Check:
    extract = loaded.pipeline.extract
    try:
        source = registry.open_source(extract, surroundings)
        try:
            await source.check()
            number = await source.count()
        finally:
            await source.close()
    except LoomError as error:
        return Check("source", ok=False, detail=_told(error, loaded))
    counted = f" ({number:,} records)" if number is not None else ""
    return Check("source", ok=True, detail=f"{redacted(extract.source)}{counted}", records=number)


def _adapted(pipeline: Pipeline) -> list[Check]:
    """Whether what the providers need that Loom does not speak to itself is installed."""
    kinds = {endpoint.provider for endpoint in model_prices.endpoints(pipeline)} & ADAPTED
    lacking = [adapter_package.told(kind) for kind in sorted(kinds) if adapter_package.missing(kind)]
    if lacking:
        return [Check("models", ok=False, detail=words) for words in lacking]
    return [Check("models", ok=True, detail=f"{', '.join(sorted(kinds))}: what it needs is installed")] if kinds else []


def _evaluators(pipeline: Pipeline) -> list[Check]:
    """Whether what the evaluators are made of is installed, where they are made of something that is not Loom's."""
    evaluators = pipeline.evaluate.evaluators if pipeline.evaluate else ()
    judges = ", ".join(each.name for each in evaluators if isinstance(each, ModelJudged))
    measures = ", ".join(each.name for each in evaluators if isinstance(each, EmbeddingSimilarity))
    checks = []
    if judges and arbiter_package.installed():
        checks.append(Check("evaluators", ok=True, detail=f"{judges}: Arbiter is installed"))
    elif judges:
        checks.append(Check("evaluators", ok=False, detail=f"{judges}: needs Arbiter. {arbiter_package.REMEDY}"))
    if measures and embedding.installed():
        checks.append(Check("evaluators", ok=True, detail=f"{measures}: the embedding model is installed"))
    elif measures:
        words = f"{measures}: needs an embedding model. {embedding.REMEDY}"
        checks.append(Check("evaluators", ok=False, detail=words))
    return checks


async def _destination(
    loaded: LoadedPipeline, load: LoadConfig, surroundings: Surroundings, what: str = "destination"
) -> Check:
    try:
        destination = registry.open_destination(load, surroundings)
        try:
            await destination.check()
        finally:
            await destination.close()
    except LoomError as error:
        return Check(what, ok=False, detail=_told(error, loaded))
    return Check(what, ok=True, detail=f"{redacted(load.destination)}: {destination.guarantee}")


def _told(error: LoomError, loaded: LoadedPipeline) -> str:
    return str(loaded.placed(error) if isinstance(error, InvalidDefinition) else error)


def _params(loaded: LoadedPipeline, given: dict[str, Any]) -> dict[str, Any]:
    """Typed parameters; those that only a run can give are left out."""
    specs = {name: spec for name, spec in loaded.pipeline.params.items() if name in given or spec.default is not None}
    return typed(specs, given)


def _texts(loaded: LoadedPipeline) -> Iterator[str]:
    """Everything that credentials are put into."""
    pipeline = loaded.pipeline
    yield from (pipeline.extract.source, pipeline.load.destination)
    asked = {split_model(model, pipeline.providers)[0] for model in _models(pipeline)}
    connections = (each for name, each in pipeline.providers.items() if name in asked)
    named = (text for each in connections for text in (each.base_url, each.api_key))
    elsewhere = {name for name, each in pipeline.providers.items() if each.base_url is not None}
    if pipeline.transform.base_url is None:
        yield from (PROVIDERS[name].base_url for name in sorted(asked & PROVIDERS.keys() - elsewhere))
    judges = (text for each in _judges(pipeline) for text in (each.base_url, each.api_key))
    alerts = pipeline.monitoring.alerts
    if alerts is not None:
        yield alerts.webhook
    optional = (pipeline.load.fallback, pipeline.transform.base_url, pipeline.transform.api_key, *named, *judges)
    yield from (text for text in optional if text is not None)


def _judges(pipeline: Pipeline) -> list[ModelJudged | EvaluateConfig]:
    """Everything that says how a judging model is reached."""
    evaluate = pipeline.evaluate
    judged = [each for each in evaluate.evaluators if isinstance(each, ModelJudged)] if evaluate else []
    return [evaluate, *judged] if evaluate and judged else []


def _models(pipeline: Pipeline) -> Iterator[str]:
    """Every model that is named."""
    transform, evaluate = pipeline.transform, pipeline.evaluate
    evaluators = evaluate.evaluators if evaluate else ()
    given = (transform.model, *(getattr(each, "model", None) for each in (evaluate, *evaluators)))
    yield from (model for model in given if isinstance(model, str))
    yield from transform.fallback.models if transform.fallback else ()
