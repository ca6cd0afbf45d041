"""What can be known before a run: that credentials are there, the source can be read, the destination written."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from pydantic import ValidationError

from loom.preflight import budget_fit, calls_in_flight, model_prices
from loom.preflight.field_names import Compared, compared
from loom.project.config import LoomConfig
from loom.project.definition_file import InvalidFile, LoadedPipeline, placed
from loom.project.parameters import unused
from loom_ai.adapted import package
from loom_common.config.credentials import Credentials, EnvProvider, FileProvider, references
from loom_common.domain.definition.evaluation import EvaluateConfig
from loom_common.domain.definition.evaluators import EmbeddingSimilarity, ModelJudged
from loom_common.domain.definition.output import json_schema
from loom_common.domain.definition.pipeline import ExtractConfig, LoadConfig, Pipeline
from loom_common.domain.model_options.params import ParamSpec, example, typed
from loom_common.domain.model_options.providers import (
    ADAPTED,
    PROVIDERS,
    known_provider,
    provider_named,
    provider_names,
    split_model,
)
from loom_common.domain.section import Section
from loom_common.domain.values import plural
from loom_common.domain.values.urls import redacted
from loom_common.errors import InvalidDefinition, LoomError, Problem, TransientError
from loom_connectors import registry
from loom_connectors.overlaps import overlap
from loom_connectors.ports import ConnectorContext
from loom_evaluator.evaluators import arbiter_package, embedding

S = TypeVar("S", bound=Section)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    what: str
    """`credentials`, `source`, `fields`, `params`, `models`, `evaluators`, `prices`, `budget`, `destination` or `second
    destination`."""
    ok: bool
    detail: str
    doubtful: bool = False
    """Whether it does not stand in the way of a run, and may still be a mistake."""
    problems: tuple[Problem, ...] = ()
    """What is wrong, where it can be told with its place in the file."""

    @property
    def words(self) -> list[str]:
        """What there is to say where this stands in the way of a run."""
        return [str(problem) for problem in self.problems] or [self.detail]

    records: int | None = None
    """How many records the source has, where that is known."""
    away: bool = False
    """Whether it cannot be reached, which may change without anybody's doing."""


async def check(
    loaded: LoadedPipeline, config: LoomConfig, params: dict[str, Any] | None = None, *, sample: bool = False
) -> list[Check]:
    """Look at the surroundings of a pipeline: of its destination, or of the place beside it that a `sample` goes to.
    Nothing is read but the source's first page, nothing is written."""
    credentials = Credentials({"env": EnvProvider(prefix=config.credentials.prefix), "file": FileProvider()})
    texts = list(_texts(loaded))
    missing = [str(error) for text in texts for error in credentials.missing(text)]
    named = sorted({reference for text in texts for reference in references(text)})
    lacking = dict.fromkeys([*missing, *_without_key(loaded.pipeline, credentials)])
    found = [Check("credentials", ok=False, detail=words) for words in lacking] or [
        Check("credentials", ok=True, detail=f"{', '.join(named)}: set" if named else "none needed")
    ]
    schema = loaded.pipeline.transform.shape
    context = ConnectorContext(
        folder=loaded.folder,
        credentials=credentials,
        params=_params(loaded.pipeline.params, params or {}),
        output_schema=json_schema(schema) if schema else None,
        record_key=loaded.pipeline.extract.keys,
        sample=sample,
    )
    load = loaded.pipeline.load
    counted = _all_given(loaded.pipeline.params, params or {})
    checks = [
        *found,
        *await _source(loaded, loaded.pipeline.extract, context, counted=counted),
        *_unused(loaded),
        *_strange_to_openai(loaded.pipeline),
        *_adapted(loaded.pipeline),
        *_evaluators(loaded.pipeline),
    ]
    if (priced := model_prices.told(loaded.pipeline)) is not None:
        checks.append(Check("prices", ok=priced[0], detail=priced[1]))
    if (fit := budget_fit.told(loaded.pipeline)) is not None:
        checks.append(Check("budget", ok=True, detail=fit))
    if (few := calls_in_flight.told(loaded.pipeline)) is not None:
        checks.append(Check("models", ok=True, detail=few, doubtful=True))
    if overlapping := _overlap(loaded, loaded.pipeline.extract, load, context):
        return [*checks, overlapping]
    checks += await _destination(loaded, load, context)
    if load.second is not None:
        checks += await _destination(loaded, load.second, context, "second destination")
    return checks


async def further(broken: InvalidFile, config: LoomConfig) -> list[Check]:
    """What else is wrong with a file that has mistakes: in the fields it names, its source and its destination, as far
    as those can be read."""
    definition = broken.definition
    specs = {name: spec for name, raw in _mapping(definition, "params").items() if (spec := _read(ParamSpec, raw))}
    context = ConnectorContext(
        folder=broken.path.resolve().parent,
        credentials=Credentials({"env": EnvProvider(prefix=config.credentials.prefix), "file": FileProvider()}),
        params=_params(specs, {}),
    )
    checks = []
    if (extract := _read(ExtractConfig, definition.get("extract"))) is not None:
        checks += await _source(broken, extract, context, counted=False)
    if (load := _read(LoadConfig, definition.get("load"))) is not None:
        overlapping = _overlap(broken, extract, load, context) if extract is not None else None
        checks += [overlapping] if overlapping else await _destination(broken, load, context)
    told = {(problem.path, problem.line, problem.column) for problem in broken.problems}
    checks = [replace(each, problems=tuple(_new(each.problems, told))) for each in checks if not each.ok]
    return [each for each in checks if each.problems or each.what != "fields"]


def _new(problems: Iterable[Problem], told: Collection[tuple[Any, ...]]) -> list[Problem]:
    return [each for each in problems if (each.path, each.line, each.column) not in told]


async def _source(
    written: LoadedPipeline | InvalidFile, extract: ExtractConfig, context: ConnectorContext, *, counted: bool
) -> list[Check]:
    """The source, and the fields that the pipeline names of it and of its output. Without its credentials it is not
    looked at."""
    fields, number, has_key = None, None, True
    if context.credentials.missing(extract.source):
        return _fields(replace(compared(written.document, written.definition, written.prompt, None), warnings=()))
    try:
        source = registry.open_source(extract, context)
        try:
            fields = await source.fields()
            found = compared(written.document, written.definition, written.prompt, fields)
            has_key = not any(problem.path[:2] == ("extract", "key") for problem in found.problems)
            if has_key:
                await source.check()
                number = await source.count() if counted else None
        finally:
            await source.close()
    except LoomError as error:
        found = compared(written.document, written.definition, written.prompt, fields)
        away = isinstance(error, TransientError)
        unread = Check("source", ok=False, detail=_told(error, written), away=away)
        return [unread, *_fields(replace(found, warnings=()))]
    words = f" ({plural.counted(number, 'record')})" if number is not None else ""
    return [Check("source", ok=True, detail=f"{redacted(extract.source)}{words}", records=number), *_fields(found)]


def _fields(found: Compared) -> list[Check]:
    checks = [Check("fields", ok=True, detail=words, doubtful=True) for words in found.warnings]
    if found.problems:
        number = len(found.problems)
        words = "1 name is no field" if number == 1 else f"{number} names are no fields"
        checks.append(Check("fields", ok=False, detail=words, problems=found.problems))
    return checks


def _unused(loaded: LoadedPipeline) -> list[Check]:
    names = unused(loaded.definition, loaded.prompt)
    words = f"nothing uses {', '.join(names)}: neither the query nor the prompt"
    return [Check("params", ok=True, detail=words, doubtful=True)] if names else []


def _without_key(pipeline: Pipeline, credentials: Credentials) -> list[str]:
    """Known providers that are asked at their usual address, where nobody is answered without a key, and have none."""
    keyless = {}
    for endpoint in model_prices.endpoints(pipeline):
        known = provider_named(endpoint.provider)
        if endpoint.base_url != known.base_url or endpoint.provider in ADAPTED or endpoint.api_key is not None:
            continue
        for error in credentials.missing(known.key or ""):
            keyless[endpoint.provider] = f"{endpoint.provider} asks for a key. {error}"
    return list(keyless.values())


def _strange_to_openai(pipeline: Pipeline) -> list[Check]:
    """Models whose name says that somebody else serves them, and that OpenAI would be asked for."""
    usual = PROVIDERS["openai"].base_url
    names = [each.model for each in model_prices.endpoints(pipeline) if each.base_url == usual]
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


def _adapted(pipeline: Pipeline) -> list[Check]:
    """Whether what the providers need that Loom does not speak to itself is installed."""
    kinds = {endpoint.provider for endpoint in model_prices.endpoints(pipeline)} & ADAPTED
    lacking = [package.missing_package_message(kind) for kind in sorted(kinds) if package.missing(kind)]
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


def _overlap(
    written: LoadedPipeline | InvalidFile, extract: ExtractConfig, load: LoadConfig, context: ConnectorContext
) -> Check | None:
    """What is wrong where the pipeline would write to what it reads."""
    try:
        problem = overlap(extract, load, context)
    except LoomError:
        return None  # a location that cannot be read is told where it is opened
    if problem is None:
        return None
    return Check("destination", ok=False, detail=_told(InvalidDefinition([problem]), written))


async def _destination(
    written: LoadedPipeline | InvalidFile, load: LoadConfig, context: ConnectorContext, what: str = "destination"
) -> list[Check]:
    """Without its credentials it is not looked at."""
    if context.credentials.missing(load.destination):
        return []
    try:
        destination = registry.open_destination(load, context)
        try:
            await destination.check()
        finally:
            await destination.close()
    except LoomError as error:
        return [Check(what, ok=False, detail=_told(error, written), away=isinstance(error, TransientError))]
    return [Check(what, ok=True, detail=f"{redacted(load.destination)}: {destination.guarantee}; {destination.effect}")]


def _told(error: LoomError, written: LoadedPipeline | InvalidFile) -> str:
    return str(placed(error, written.document) if isinstance(error, InvalidDefinition) else error)


def _params(specs: Mapping[str, ParamSpec], given: Mapping[str, Any]) -> dict[str, Any]:
    """Typed parameters. Those that only a run gives are some value of their type: it is enough to see the columns."""
    known = {name: spec for name, spec in specs.items() if name in given or spec.default is not None}
    return {**{name: example(spec.type) for name, spec in specs.items()}, **typed(known, given)}


def _all_given(specs: Mapping[str, ParamSpec], given: Mapping[str, Any]) -> bool:
    return all(name in given or spec.default is not None for name, spec in specs.items())


def _mapping(definition: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = definition.get(key)
    return value if isinstance(value, Mapping) else {}


def _read(model: type[S], written: Any) -> S | None:
    """A section without the keys that are mistaken; None where it cannot be read without them."""
    try:
        return model.model_validate(written)
    except ValidationError as error:
        wrong = {detail["loc"][0] for detail in error.errors(include_url=False) if detail["loc"]}
    if not isinstance(written, Mapping):
        return None
    try:
        return model.model_validate({key: value for key, value in written.items() if key not in wrong})
    except ValidationError:
        return None


def _texts(loaded: LoadedPipeline) -> Iterator[str]:
    """Everything that credentials are put into."""
    pipeline = loaded.pipeline
    yield from (pipeline.extract.source, pipeline.load.destination)
    asked = {split_model(model, pipeline.providers)[0] for model in _models(pipeline)}
    connections = (each for name, each in pipeline.providers.items() if name in asked)
    named = (text for each in connections for text in (each.base_url, each.api_key))
    elsewhere = {name for name, each in pipeline.providers.items() if each.base_url is not None}
    if pipeline.transform.base_url is None:
        yield from (known.base_url for name in sorted(asked - elsewhere) if (known := known_provider(name)) is not None)
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
    judges = [each for each in evaluate.evaluators if isinstance(each, ModelJudged)] if evaluate else []
    given = (transform.model, evaluate.model if evaluate else None, *(each.model for each in judges))
    yield from (model for model in given if model is not None)
    yield from transform.fallback.models if transform.fallback else ()
