"""Reads definitions of pipelines that requests hold, in no file: checks them, and estimates what a run would cost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from loom.project import definition_file, yaml_positions
from loom.project.config import LoomConfig
from loom.project.definition_file import LoadedPipeline
from loom_api.bodies import Definition, EstimateOptions

if TYPE_CHECKING:
    from loom.preflight.estimate import Estimate
    from loom.requests.validation import Validation

T = TypeVar("T")
_FILE = "definition.yaml"
"""The name by which mistakes call a definition that lies in no file."""


async def validated(said: Definition, config: LoomConfig, *, connect: bool) -> Validation:
    """Check a definition and what it needs."""

    async def checked() -> Validation:
        from loom.requests.validation import validate  # it takes long to import

        return await validate(partial(read, said, config), _path(said, config), config, connect=connect)

    return await apart(checked)


async def estimated(said: EstimateOptions, config: LoomConfig) -> Estimate:
    """Estimate what a run would cost. Raises `ConfigurationError` where it has mistakes, or cannot be estimated."""

    async def made() -> Estimate:
        from loom.requests import estimates  # it takes long to import

        return await estimates.estimated(read(said, config), config, said.sample, said.params)

    return await apart(made)


def read(said: Definition, config: LoomConfig) -> LoadedPipeline:
    """Read a definition with the files that it names. Raises `InvalidDefinition` with every mistake."""
    return definition_file.read(said.definition, _path(said, config), config.applied_to, config.allowed)


def name_in(definition: str) -> str:
    """Return the name that a definition gives its pipeline, `` where it gives none. Raises `InvalidDefinition` where it
    cannot be read."""
    name = yaml_positions.parse(definition, _FILE).data.get("name")
    return name if isinstance(name, str) else ""


async def apart(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Do what reads files and imports the project's code in a thread with an event loop of its own, so that other
    requests are answered meanwhile."""
    return await asyncio.to_thread(lambda: asyncio.run(work()))


def _path(said: Definition, config: LoomConfig) -> Path:
    return config.project / said.folder / _FILE
