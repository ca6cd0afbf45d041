"""Checks what can be known of a pipeline file that has mistakes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from pydantic import ValidationError

from loom.preflight import connector_checks
from loom.project.config import LoomConfig
from loom.project.definition_file import InvalidFile
from loom_common.domain.checks.check import Check
from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.definition.load import LoadConfig
from loom_common.domain.definition.streams.settings import DEFAULT_SIZE, Pace
from loom_common.domain.model_options.params import ParamSpec
from loom_common.domain.section import Section
from loom_common.errors import Problem
from loom_connectors.ports.context import ConnectorContext

S = TypeVar("S", bound=Section)
_PACE = Pace(wait_seconds=0.2, size=DEFAULT_SIZE, poll_seconds=None)
"""The pace of a stream whose own one may be a mistake: nothing is read at it."""


async def further(broken: InvalidFile, config: LoomConfig) -> list[Check]:
    """Tell what else is wrong with a file that has mistakes: in the fields it names, its source and its destination, as
    far as those can be read."""
    definition = broken.definition
    specs = {name: spec for name, raw in _mapping(definition, "params").items() if (spec := _read(ParamSpec, raw))}
    context = ConnectorContext(
        folder=broken.path.resolve().parent,
        allowed=config.allowed,
        credentials=config.secrets,
        params=connector_checks.params_of(specs, {}),
        call_seconds=connector_checks.ANSWER_SECONDS,
    )
    checks = []
    if (extract := _read(ExtractConfig, definition.get("extract"))) is not None:
        pace = _PACE if definition.get("mode") == "streaming" else None
        checks += await connector_checks.of_source(broken, extract, context, counted=False, pace=pace)
    if (load := _read(LoadConfig, definition.get("load"))) is not None:
        overlapping = connector_checks.overlapping(broken, extract, load, context) if extract is not None else None
        checks += [overlapping] if overlapping else await connector_checks.of_destination(broken, load, context)
    told = {(problem.path, problem.line, problem.column) for problem in broken.problems}
    checks = [replace(each, problems=tuple(_new(each.problems, told))) for each in checks if not each.ok]
    return [each for each in checks if each.problems or each.what != "fields"]


def _new(problems: Iterable[Problem], told: Collection[tuple[Any, ...]]) -> list[Problem]:
    return [each for each in problems if (each.path, each.line, each.column) not in told]


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
