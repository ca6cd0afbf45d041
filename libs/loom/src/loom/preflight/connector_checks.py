"""Looks at what surrounds a pipeline: its source, its destination, and what its steps join with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from loom.project.definition_file import InvalidFile, LoadedPipeline, placed
from loom_common.domain.checks.check import Check
from loom_common.domain.checks.field_names import Compared, compared
from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.definition.load import LoadConfig
from loom_common.domain.definition.pipeline import Pipeline
from loom_common.domain.definition.streams.settings import Pace
from loom_common.domain.definition.transforms.enrich import EnrichTransformConfig
from loom_common.domain.model_options.params import ParamSpec, example, typed
from loom_common.domain.quality.kinds import Reference
from loom_common.domain.steps.joining import join_steps
from loom_common.domain.values.fields import Fields
from loom_common.errors import InvalidDefinition, LoomError
from loom_common.user_code.functions import file_beside
from loom_common.user_code.plan_paths import modules_in
from loom_connectors import registry
from loom_connectors.lookups import checks as lookups
from loom_connectors.lookups.opening import referring_texts_of
from loom_connectors.overlaps import overlap, overwritten
from loom_connectors.ports import readiness
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.source import Source

ANSWER_SECONDS = 30.0
"""Says how long a plugin's source or destination may take to answer a check."""


async def of_source(
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
    return await readiness.of_source(opened, extract, compare, lambda error: told(error, written), counted=counted)


async def of_joins(pipeline: Pipeline, context: ConnectorContext) -> list[Check]:
    """Look at the sources that steps join with, unless their credentials are missing."""
    steps = join_steps(pipeline)
    if not steps:
        return []
    from loom_connectors.joining.source import look_at  # few pipelines join

    reached = [each for each in steps if not _lacks_credentials(context, each.source, each.options)]
    return [await look_at(each, context) for each in reached]


async def of_lookups(loaded: LoadedPipeline, context: ConnectorContext) -> list[Check]:
    """Look at what steps look records up in. Credentials that are missing are told once."""

    def has_all(config: EnrichTransformConfig) -> bool:
        return not any(context.credentials.missing(text) for text in referring_texts_of(config))

    return await lookups.of_lookups(loaded.pipeline, context, lambda error: told(error, loaded), has_all)


def of_given_records(written: LoadedPipeline) -> list[Check]:
    """Check the fields that the pipeline names of its output. What records have that were given, nobody looks at."""
    return readiness.of_given_records(
        lambda fields: compared(written.document, written.definition, written.prompt, fields)
    )


def overlapping(
    written: LoadedPipeline | InvalidFile, extract: ExtractConfig, load: LoadConfig, context: ConnectorContext
) -> Check | None:
    """Say what is wrong where the pipeline would write to what it reads."""
    try:
        problem = overlap(extract, load, context) or overwritten(load, _own_files(written, extract, load), context)
    except LoomError:
        return None  # a location that cannot be read is told where it is opened
    if problem is None:
        return None
    return Check("destination", ok=False, detail=told(InvalidDefinition([problem]), written))


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


async def of_destination(
    written: LoadedPipeline | InvalidFile, load: LoadConfig, context: ConnectorContext, what: str = "destination"
) -> list[Check]:
    """Look at the destination, unless its credentials are missing."""
    if _lacks_credentials(context, load.destination, load.options):
        return []
    try:
        destination = registry.open_destination(load, context)
    except LoomError as error:
        return [readiness.not_ready(what, error, lambda raised: told(raised, written))]
    ordered = bool(written.definition.get("order_by"))
    return await readiness.of_destination(
        destination, load, what, lambda error: told(error, written), in_sequence=ordered
    )


def _lacks_credentials(context: ConnectorContext, location: str, options: Mapping[str, Any]) -> bool:
    return any(context.credentials.missing(text) for text in registry.referring_texts(location, options))


def told(error: LoomError, written: LoadedPipeline | InvalidFile) -> str:
    """Return the words of an error, with the place in the file where it is about the definition."""
    return str(placed(error, written.document) if isinstance(error, InvalidDefinition) else error)


def params_of(specs: Mapping[str, ParamSpec], given: Mapping[str, Any]) -> dict[str, Any]:
    """Type the parameters. Those that only a run gives are some value of their type: it is enough to see the
    columns."""
    known = {name: spec for name, spec in specs.items() if name in given or spec.default is not None}
    return {**{name: example(spec.type) for name, spec in specs.items()}, **typed(known, given)}
