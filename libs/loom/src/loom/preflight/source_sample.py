"""Reads the first records of a source, to learn their schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from loom.project.config import LoomConfig
from loom.project.definition_file import LoadedPipeline
from loom_common.domain.definition.pipeline import ExtractConfig
from loom_common.domain.model_options.params import typed
from loom_connectors.ports import ConnectorContext
from loom_connectors.registry import open_source

_PAGE = 1_000


async def of_source(source: str, query: str | None, config: LoomConfig, count: int) -> list[dict[str, Any]]:
    """Return at most `count` records of a source that is named on the command line; those with an error are left out.

    Raises what opening and reading it raises."""
    return await _read(ExtractConfig(source=source, query=query), Path.cwd(), {}, config, count)


async def of_pipeline(loaded: LoadedPipeline, config: LoomConfig, count: int) -> list[dict[str, Any]]:
    """Return at most `count` records of a pipeline's source; its parameters have their defaults. Raises as `of_source`
    does."""
    params = {name: spec for name, spec in loaded.pipeline.params.items() if spec.default is not None}
    return await _read(loaded.pipeline.extract, loaded.folder, typed(params, {}), config, count)


async def _read(
    extract: ExtractConfig, folder: Path, params: dict[str, Any], config: LoomConfig, count: int
) -> list[dict[str, Any]]:
    credentials = config.secrets
    source = open_source(extract, ConnectorContext(folder=folder, credentials=credentials, params=params))
    found: list[dict[str, Any]] = []
    cursor, end, left = None, False, count
    try:
        while not end and left:
            page = await source.read(cursor, min(_PAGE, left))
            found += [record.data for record in page.records if record.error is None]
            cursor, end, left = page.cursor, page.end, left - len(page.records)
    finally:
        await source.close()
    return found
