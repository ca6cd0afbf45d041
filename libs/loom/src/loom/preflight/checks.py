"""Checks what can be known before a run: that credentials are there, the source can be read, the destination
written."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from loom.preflight import credential_checks, model_checks
from loom.preflight.model_endpoints import endpoints
from loom.project.config import LoomConfig
from loom.project.definition_file import InvalidFile, LoadedPipeline, placed
from loom.project.parameters import unused
from loom_common.domain.checks import cascade_file
from loom_common.domain.checks.check import Check
from loom_common.domain.checks.field_names import Compared, compared
from loom_common.domain.checks.passed_on import missing_columns, with_passed_on
from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.definition.load import LoadConfig
from loom_common.domain.definition.pipeline import Pipeline
from loom_common.domain.definition.streams.settings import Pace
from loom_common.domain.definition.transforms.enrich import EnrichTransformConfig
from loom_common.domain.model_options.params import ParamSpec, example, typed
from loom_common.domain.quality.kinds import Reference
from loom_common.domain.section import Section
from loom_common.domain.steps.joining import join_steps
from loom_common.domain.values.fields import Fields
from loom_common.errors import InvalidDefinition, LoomError, Problem
from loom_common.sealing.keyring import Keyring
from loom_common.user_code.functions import file_beside
from loom_common.user_code.plan_paths import modules_in
from loom_connectors import registry
from loom_connectors.lookups.checks import of_lookups
from loom_connectors.lookups.opening import referring_texts_of
from loom_connectors.overlaps import overlap, overwritten
from loom_connectors.ports import readiness
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.source import Source

S = TypeVar("S", bound=Section)

_ANSWER_SECONDS = 30.0
"""Says how long a plugin's source or destination may take to answer a check."""


_TAKEN = Check("destination", ok=True, detail="its rows are given to the Python code that started it")


async def check(
    loaded: LoadedPipeline,
    config: LoomConfig,
    params: dict[str, Any] | None = None,
    *,
    sample: bool = False,
    given: bool = False,
    taken: bool = False,
) -> list[Check]:
    """Look at the surroundings of a pipeline: of its destination, or of the place beside it that a `sample` goes to.
    Nothing is read but the source's first page, and nothing of records that were `given`; nothing is written. Where
    the rows are `taken` by the Python code that starts the run, there is no destination to look at."""
    credentials = config.secrets
    schema = loaded.pipeline.transform.declared_schema
    context = ConnectorContext(
        folder=loaded.folder,
        allowed=config.allowed,
        credentials=credentials,
        params=_params(loaded.pipeline.params, params or {}),
        output_schema=schema,
        record_key=loaded.pipeline.row_key,
        sample=sample,
        call_seconds=_ANSWER_SECONDS,
    )
    load = loaded.pipeline.load
    pace = None if sample else loaded.pipeline.pace
    counted = _all_given(loaded.pipeline.params, params or {})
    checks = [
        *credential_checks.check(loaded, credentials),
        *_keys(loaded.pipeline, config),
        *(
            _given(loaded)
            if given
            else await _source(loaded, loaded.pipeline.extract, context, counted=counted, pace=pace)
        ),
        *await _joined(loaded.pipeline, context),
        *_unused(loaded),
        *await of_lookups(loaded.pipeline, context, lambda error: _told(error, loaded), _has_all(context)),
        *model_checks.check(loaded.pipeline),
        *_cascades(loaded),
    ]
    if any(endpoints(loaded.pipeline)):
        checks += _of_calls(loaded.pipeline)
    if overlapping := _overlap(loaded, loaded.pipeline.extract, load, context):
        return [*checks, overlapping]
    place = [_TAKEN] if taken else await _destination(loaded, load, context)
    checks += _with_passed_on(loaded.pipeline, checks, place)
    if load.second is not None:
        checks += await _destination(loaded, load.second, context, "second destination")
    return checks


def _with_passed_on(pipeline: Pipeline, before: Sequence[Check], looked: Sequence[Check]) -> list[Check]:
    """Return what was found of a destination, with what becomes of the fields that are passed on to it."""
    fields = next((check.fields for check in before if check.fields is not None), None)
    fits = [fit for check in looked for fit in check.fits]
    found = [replace(check, fits=with_passed_on(pipeline, fields, check.fits)) for check in looked]
    missing = missing_columns(pipeline, fields, fits)
    return found if missing is None else [*found, missing]


def _keys(pipeline: Pipeline, config: LoomConfig) -> list[Check]:
    """Tell whether the keys of sensitive fields can be used."""
    if not pipeline.sensitive:
        return []
    references = config.settings().encryption.keys
    words = f"{', '.join(pipeline.sensitive)}: encrypted with {references[0]}"
    trouble = Keyring(references, config.secrets).trouble()
    return [Check("encryption", ok=trouble is None, detail=trouble or words)]


def _cascades(loaded: LoadedPipeline) -> list[Check]:
    """Check whether the thresholds of cascades are chosen, for these settings, and tell what is promised of them."""
    problems = tuple(
        loaded.document.problem(each.path, each.found, each.expected)
        for each in cascade_file.mistakes(loaded.pipeline, loaded.files)
    )
    if problems:
        return [Check("cascades", ok=False, detail="their thresholds cannot be used", problems=problems)]
    return [
        Check("cascades", ok=True, detail=f"{of}: {words}")
        for _, of, each in cascade_file.cascades_of(loaded.pipeline)
        for words in [
            cascade_file.parsed(loaded.files[each.file]).promise if each.file else "thresholds by hand, no promise"
        ]
    ]


def _of_calls(pipeline: Pipeline) -> list[Check]:
    """Tell what the calls of models cost, and how many of them are made at once."""
    from loom.preflight import batch_execution, budget_fit, calls_in_flight, model_prices  # many ask no model

    checks = batch_execution.checks(pipeline)
    if (priced := model_prices.told(pipeline)) is not None:
        checks.append(Check("prices", ok=priced[0], detail=priced[1]))
    if (fit := budget_fit.told(pipeline)) is not None:
        checks.append(Check("budget", ok=True, detail=fit))
    if (few := calls_in_flight.told(pipeline)) is not None:
        checks.append(Check("models", ok=True, detail=few, doubtful=True))
    return checks


async def further(broken: InvalidFile, config: LoomConfig) -> list[Check]:
    """Tell what else is wrong with a file that has mistakes: in the fields it names, its source and its destination, as
    far as those can be read."""
    definition = broken.definition
    specs = {name: spec for name, raw in _mapping(definition, "params").items() if (spec := _read(ParamSpec, raw))}
    context = ConnectorContext(
        folder=broken.path.resolve().parent,
        allowed=config.allowed,
        credentials=config.secrets,
        params=_params(specs, {}),
        call_seconds=_ANSWER_SECONDS,
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
    written: LoadedPipeline | InvalidFile,
    extract: ExtractConfig,
    context: ConnectorContext,
    *,
    counted: bool,
    pace: Pace | None = None,
) -> list[Check]:
    """Check the source, and the fields that the pipeline names of it and of its output. Look at the destination, unless
    its credentials are missing. With a `pace` it has to be one that can be read as a stream."""

    def compare(fields: Fields | None) -> Compared:
        return compared(written.document, written.definition, written.prompt, fields)

    async def opened() -> Source:
        if pace is not None:
            from loom_connectors.watched.opening import open_stream  # few pipelines are streams

            return open_stream(extract, context, pace)
        return registry.open_source(extract, context)

    if _lacks_credentials(context, extract.source, extract.options):
        return readiness.of_fields(replace(compare(None), warnings=()))
    return await readiness.of_source(opened, extract, compare, lambda error: _told(error, written), counted=counted)


async def _joined(pipeline: Pipeline, context: ConnectorContext) -> list[Check]:
    """Look at the sources that steps join with, unless their credentials are missing."""
    steps = join_steps(pipeline)
    if not steps:
        return []
    from loom_connectors.joining.source import look_at  # few pipelines join

    reached = [each for each in steps if not _lacks_credentials(context, each.source, each.options)]
    return [await look_at(each, context) for each in reached]


def _given(written: LoadedPipeline) -> list[Check]:
    """Check the fields that the pipeline names of its output. What records have that were given, nobody looks at."""
    return readiness.of_given_records(
        lambda fields: compared(written.document, written.definition, written.prompt, fields)
    )


def _unused(loaded: LoadedPipeline) -> list[Check]:
    names = unused(loaded.definition, loaded.prompt)
    words = f"nothing uses {', '.join(names)}: neither the source, nor the prompt, nor the destination"
    return [Check("params", ok=True, detail=words, doubtful=True)] if names else []


def _overlap(
    written: LoadedPipeline | InvalidFile, extract: ExtractConfig, load: LoadConfig, context: ConnectorContext
) -> Check | None:
    """Say what is wrong where the pipeline would write to what it reads."""
    try:
        problem = overlap(extract, load, context) or overwritten(load, _own_files(written, extract, load), context)
    except LoomError:
        return None  # a location that cannot be read is told where it is opened
    if problem is None:
        return None
    return Check("destination", ok=False, detail=_told(InvalidDefinition([problem]), written))


def _own_files(written: LoadedPipeline | InvalidFile, extract: ExtractConfig, load: LoadConfig) -> list[Path]:
    """Return the pipeline file and the files that it names or is read with: prompts, context files, the modules beside
    it, the files that quality checks and steps look values up in, and the project's settings."""
    path = written.path.resolve()
    names = written.files if isinstance(written, LoadedPipeline) else ()
    modules = (file_beside(path.parent, module) for module in modules_in(written.definition))
    looked_up = [
        check.source for check in (*extract.quality_checks, *load.quality_checks) if isinstance(check, Reference)
    ]
    looked_up += [step.source for step in join_steps(written.pipeline)] if isinstance(written, LoadedPipeline) else []
    beside = (*names, *(name for name in looked_up if "://" not in name), "loom.yaml", ".env")
    return [path, *(path.parent / name for name in beside), *(file for file in modules if file is not None)]


async def _destination(
    written: LoadedPipeline | InvalidFile, load: LoadConfig, context: ConnectorContext, what: str = "destination"
) -> list[Check]:
    """Look at the destination, unless its credentials are missing."""
    if _lacks_credentials(context, load.destination, load.options):
        return []
    try:
        destination = registry.open_destination(load, context)
    except LoomError as error:
        return [readiness.not_ready(what, error, lambda raised: _told(raised, written))]
    ordered = bool(written.definition.get("order_by"))
    return await readiness.of_destination(
        destination, load, what, lambda error: _told(error, written), in_sequence=ordered
    )


def _lacks_credentials(context: ConnectorContext, location: str, options: Mapping[str, Any]) -> bool:
    return any(context.credentials.missing(text) for text in registry.referring_texts(location, options))


def _has_all(context: ConnectorContext) -> Callable[[EnrichTransformConfig], bool]:
    """Return what tells whether the credentials of a lookup are there: those that are missing are told once."""
    return lambda config: not any(context.credentials.missing(text) for text in referring_texts_of(config))


def _told(error: LoomError, written: LoadedPipeline | InvalidFile) -> str:
    return str(placed(error, written.document) if isinstance(error, InvalidDefinition) else error)


def _params(specs: Mapping[str, ParamSpec], given: Mapping[str, Any]) -> dict[str, Any]:
    """Type the parameters. Those that only a run gives are some value of their type: it is enough to see the
    columns."""
    known = {name: spec for name, spec in specs.items() if name in given or spec.default is not None}
    return {**{name: example(spec.type) for name, spec in specs.items()}, **typed(known, given)}


def of_the_files(loaded: LoadedPipeline) -> list[Check]:
    """Look at what a pipeline says, and at the files that it names beside it, but at nothing that is installed or is
    found elsewhere."""
    said = [*_unused(loaded), *model_checks.check(loaded.pipeline), *_cascades(loaded)]
    return [each for each in said if each.what != "scorer"]


def _all_given(specs: Mapping[str, ParamSpec], given: Mapping[str, Any]) -> bool:
    return all(name in given or spec.default is not None for name, spec in specs.items())


def _mapping(definition: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = definition.get(key)
    return value if isinstance(value, Mapping) else {}


def _read(model: type[S], written: Any) -> S | None:
    """Read a section without the keys that are mistaken; return None where it cannot be read without them."""
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
