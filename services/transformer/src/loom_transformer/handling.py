"""Composes what handles the batches of the transformer service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from loom_ai.stage import open_model_stage
from loom_ai.stores.beside_budgets import open_group_members, open_joined_tables, open_seen_values
from loom_common import flow
from loom_common.contracts.v1 import BatchExtracted, BatchInSteps
from loom_common.domain.model_options.params import typed
from loom_common.domain.run.plan import Plan
from loom_common.domain.values import durations
from loom_common.flow import Stage
from loom_common.service.bootstrap import Platform
from loom_common.service.stage_service import Handling
from loom_common.user_code.stage_runner import StageRunner
from loom_common.worker.consumer_spec import Handler
from loom_common.worker.stage_result import HandedOn, Transformed
from loom_connectors.ports.context import ConnectorContext
from loom_transformer.attachments.places import AttachmentPlaces
from loom_transformer.grouping import Groups
from loom_transformer.handler import Transformer
from loom_transformer.joining.tables import OtherSources
from loom_transformer.lookups.places import LookupPlaces
from loom_transformer.steps.dedupe import SeenStore
from loom_transformer.steps.served import Served
from loom_transformer.transforms.catalog import Catalog

Transforms = Handler[BatchExtracted | BatchInSteps, Transformed | HandedOn]


def open_handling(platform: Platform) -> Handling[BatchExtracted | BatchInSteps, Transformed | HandedOn]:
    """Open what transforms batches. Raises `ConfigurationError` for a journal address it cannot read."""
    stage = open_model_stage(platform, Stage.TRANSFORM)
    places = AttachmentPlaces(platform.settings.allowed, platform.credentials)
    seen = SeenStore(lambda: open_seen_values(platform.settings))
    sources = other_sources(platform)
    lookups = LookupPlaces(
        platform.project, platform.settings.allowed, platform.credentials, platform.breakers, platform.clock
    )
    platform.stats.gauges.append(lookups.readings)
    settings = platform.settings
    served = None if settings.embedded else Served(frozenset(settings.transform.steps))
    catalog = Catalog(
        stage.models, platform.project, platform.threads, places, platform.credentials, seen, lookups, sources, served
    )

    groups = Groups(lambda: open_group_members(platform.settings), platform.sealed.sealer)

    async def declare(*steps: str) -> None:
        await platform.bus.declare(flow.step_topology(*steps))

    @asynccontextmanager
    async def closing() -> AsyncIterator[None]:
        if served is not None and served.steps:
            await declare(*settings.transform.steps)
        async with stage.closing(), groups.closing(), seen.closing(), sources.closing():
            try:
                yield
            finally:
                await catalog.close()

    runner = StageRunner(platform.plans, catalog.transform_of, stage.isolation)
    transformer: Transforms = Transformer(runner, groups, served, declare).as_served
    return Handling(transformer, closing, stage.hear)


def other_sources(platform: Platform, *, read: bool = True) -> OtherSources:
    """Return the sources that steps join with: they are read, or only what runs have read of them is there."""
    context_of = partial(_context_of, platform=platform) if read else None
    return OtherSources(lambda: open_joined_tables(platform.settings), context_of)


def _context_of(plan: Plan, platform: Platform) -> ConnectorContext:
    """Return what the sources that steps of a plan join with may know of this worker."""
    return ConnectorContext(
        folder=platform.project / plan.base,
        allowed=platform.settings.allowed,
        credentials=platform.credentials,
        params=typed(plan.pipeline.params, plan.params),
        threads=platform.threads,
        call_seconds=durations.seconds(plan.pipeline.timeouts.extract),
    )
