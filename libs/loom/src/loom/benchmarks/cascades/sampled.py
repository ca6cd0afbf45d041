"""Draws the records that a cascade's thresholds are chosen on, where nobody has labelled any."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Mapping
from typing import Any

from loom.benchmarks.data.labels import rows_of
from loom.project.config import LoomConfig
from loom.project.definition_file import LoadedPipeline
from loom_common.domain.checks.record_checks import key_of
from loom_common.domain.model_options.params import resolved, typed
from loom_common.errors import ConfigurationError, RecordError
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.source import ReadRecord


async def sampled_records(
    loaded: LoadedPipeline, config: LoomConfig, params: Mapping[str, Any], number: int, seed: int
) -> dict[str, ReadRecord]:
    """Return `number` records of the source, drawn by the hash of their keys: the same ones each time, wherever in the
    source they stand. The source is read once, and no more records than that are held. Raises what reading raises."""
    keys, specs = loaded.pipeline.extract.keys, loaded.pipeline.params
    context = ConnectorContext(
        folder=loaded.folder,
        allowed=config.allowed,
        credentials=config.secrets,
        params=typed(specs, resolved(specs, dict(params))),
        record_key=keys,
    )
    drawn: dict[str, ReadRecord] = {}
    places: list[tuple[int, str]] = []  # a heap whose first item has the highest place
    async for record in rows_of(loaded.pipeline.extract, context):
        try:
            name = "" if record.error is not None else key_of(record.data, keys)
        except RecordError:
            continue
        if not name or name in drawn:
            continue
        place = -int.from_bytes(hashlib.sha256(f"{seed}\n{name}".encode()).digest()[:8])
        if len(places) < number:
            heapq.heappush(places, (place, name))
        elif place > places[0][0]:
            del drawn[heapq.heapreplace(places, (place, name))[1]]
        else:
            continue
        drawn[name] = record
    if not drawn:
        raise ConfigurationError(f"{loaded.pipeline.name}: its source has no record with a key, so none can be drawn.")
    return drawn
