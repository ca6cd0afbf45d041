"""Looks at what the steps of a pipeline look records up in before a run: whether it can be reached, and has the columns
that are named."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace

from loom_common.domain.checks.check import Check
from loom_common.domain.definition.pipeline import Pipeline
from loom_common.domain.definition.transforms.enrich import EnrichTransformConfig
from loom_common.domain.steps.lookups import place_of
from loom_common.domain.steps.views import Place, by_step, relocated
from loom_common.domain.values.urls import redacted
from loom_common.errors import InvalidDefinition, LoomError
from loom_connectors.lookups.opening import open_lookup, referring_texts_of
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.readiness import Tell, not_ready

WHAT = "lookup"


def lookups_in(pipeline: Pipeline) -> Iterator[tuple[Place, EnrichTransformConfig]]:
    """Yield the transforms that look records up, with their places in the definition."""
    for place, alone in by_step(pipeline):
        if isinstance(alone.transform, EnrichTransformConfig):
            yield place, alone.transform


async def of_lookups(
    pipeline: Pipeline,
    context: ConnectorContext,
    tell: Tell,
    wanted: Callable[[EnrichTransformConfig], bool] = lambda _: True,
) -> list[Check]:
    """Check everything that records are looked up in and that is `wanted`. Raises nothing of `LoomError`."""
    return [await _check(place, config, context, tell) for place, config in lookups_in(pipeline) if wanted(config)]


async def _check(place: Place, config: EnrichTransformConfig, context: ConnectorContext, tell: Tell) -> Check:
    try:
        await context.credentials.fetch(*referring_texts_of(config))
        lookup = await asyncio.to_thread(open_lookup, config, context)
        try:
            await lookup.check()
        finally:
            await lookup.close()
    except InvalidDefinition as error:
        problems = [replace(each, path=relocated(place, each.path)) for each in error.problems]
        return not_ready(WHAT, InvalidDefinition(problems), tell)
    except LoomError as error:
        return not_ready(WHAT, error, tell)
    by = ", ".join(config.keys)
    return Check(WHAT, ok=True, detail=f"{redacted(place_of(config) or '')}: {', '.join(config.wanted)} by {by}")
