"""Reads the first records of a source, to learn their schema."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from loom.project.config import LoomConfig
from loom.project.definition_file import LoadedPipeline
from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.model_options.params import typed
from loom_common.errors import ConfigurationError
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.registry import open_source

_PAGE = 1_000


async def of_source(source: str, query: str | None, config: LoomConfig, count: int) -> list[dict[str, Any]]:
    """Return at most `count` records of a source that is named on the command line; those with an error are left out.

    Raises what opening and reading it raises."""
    if not source:
        raise ConfigurationError("No source is named: expected a file or an address, as `extract.source` has it.")
    everywhere = replace(_context(Path.cwd(), config), allowed=(Path("/"),))  # whoever names it may read it
    return await _read(ExtractConfig(source=source, query=query), everywhere, count)


async def of_pipeline(
    loaded: LoadedPipeline, config: LoomConfig, count: int, pages: int | None = None
) -> list[dict[str, Any]]:
    """Return at most `count` records of a pipeline's source, and at most so many `pages`; its parameters have their
    defaults. Raises as `of_source` does."""
    params = {name: spec for name, spec in loaded.pipeline.params.items() if spec.default is not None}
    context = replace(_context(loaded.folder, config), params=typed(params, {}))
    return await _read(loaded.pipeline.extract, context, count, pages)


def _context(folder: Path, config: LoomConfig) -> ConnectorContext:
    return ConnectorContext(folder=folder, credentials=config.secrets, allowed=config.allowed)


async def _read(
    extract: ExtractConfig, context: ConnectorContext, count: int, pages: int | None = None
) -> list[dict[str, Any]]:
    source = open_source(extract, context)
    found: list[dict[str, Any]] = []
    cursor, end, left, read = None, False, count, 0
    try:
        while not end and left and read != pages:
            read += 1
            page = await source.read(cursor, min(_PAGE, left))
            found += [record.data for record in page.records if record.error is None]
            cursor, end, left = page.cursor, page.end, left - len(page.records)
    finally:
        await source.close()
    return found
