"""Composes the extractor service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

from loom_ai.quality_stage import QualityStage
from loom_ai.stores.beside_budgets import open_group_members, open_inbox, open_received_pages, received_at
from loom_common import flow
from loom_common.caching.resource_cache import ResourceCache
from loom_common.contracts.v1 import BatchExtracted, CheckSource, ExtractSlice, FindPlace, SplitSource
from loom_common.domain.checks.check import Check
from loom_common.domain.definition.streams.api_source import inbox_in
from loom_common.domain.incremental.window import Point, least_taken
from loom_common.domain.model_options.params import typed
from loom_common.domain.quality.kinds import Reference
from loom_common.domain.run.plan import Plan
from loom_common.domain.values import durations
from loom_common.errors import ConfigurationError, SourceError
from loom_common.flow import Stage
from loom_common.plugins.kinds import Kind
from loom_common.ports.inbox import Inbox
from loom_common.sealing.payloads import SealedPayloads
from loom_common.service.bootstrap import Platform, Service
from loom_common.service.stage_service import StageService
from loom_common.worker import router
from loom_common.worker.consumer_spec import Accepts, ConsumerSpec
from loom_connectors.lookups.checks import of_lookups
from loom_connectors.overlaps import overlap
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.source import Source
from loom_connectors.references import column_values
from loom_connectors.registry import open_source, runs_foreign_code
from loom_extractor.duplicates import Duplicates
from loom_extractor.groups import GroupReader
from loom_extractor.handler import Extractor
from loom_extractor.places import Places
from loom_extractor.source_check import SourceCheck
from loom_extractor.sources.received import ReceivedRecords
from loom_extractor.versions import Versions


def build(platform: Platform) -> Service:
    """Return the extractor service on `platform`."""
    sources: ResourceCache[Source] = ResourceCache(credentials=platform.credentials)
    duplicates, versions = Duplicates(), Versions()

    async def open_planned(plan: Plan) -> Source:
        if runs_foreign_code(plan.pipeline.extract.source, Kind.SOURCE):  # importing it may take long
            return await asyncio.to_thread(open_source_of, plan, platform)
        return open_source_of(plan, platform)

    def other_source(plan: Plan, check: Reference) -> AsyncIterator[Sequence[Any]]:
        return column_values(plan, check, lambda plan: context_of(plan, platform))

    quality = QualityStage(platform, Stage.EXTRACT, other_source)
    received = ReceivedRecords(lambda: open_received_pages(platform.settings), platform.clock, platform.keyring)

    groups = GroupReader(lambda: open_group_members(platform.settings), platform.sealed.sealer)

    extractor = Extractor(
        platform.plans,
        sources,
        open_planned,
        duplicates,
        platform.breakers,
        quality.checker,
        received,
        groups,
        versions,
    )

    @asynccontextmanager
    async def closing() -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for each in (sources, duplicates, versions, quality, received, groups, extractor):
                await stack.enter_async_context(each.closing())
            yield

    async def look(plan: Plan) -> Sequence[Check]:
        return await of_lookups(plan.pipeline, context_of(plan, platform), str)

    check = SourceCheck(platform.plans, open_planned, platform.breakers, platform.credentials, extractor.split, look)
    queue = flow.work_queue(Stage.EXTRACT)
    accepts = (
        Accepts(CheckSource, platform.sealed.of(check), router.checked_source),
        Accepts(FindPlace, Places(platform.plans, open_planned, platform.credentials), router.placed),
        Accepts(SplitSource, platform.sealed.of(extractor.split), router.split),
        Accepts(ExtractSlice, platform.sealed.of(extractor.read), router.sliced),
        Accepts(BatchExtracted, platform.sealed.of(extractor.check), router.extracted),
    )
    consumer = ConsumerSpec(queue, accepts, platform.settings.worker.prefetch)
    return StageService("extractor", [consumer], platform, closing, extractor.hear)


def context_of(plan: Plan, platform: Platform) -> ConnectorContext:
    """Return what a source of the plan may know of this worker."""
    pipeline = plan.pipeline
    return ConnectorContext(
        folder=platform.project / plan.base,
        allowed=platform.settings.allowed,
        credentials=platform.credentials,
        params=typed(plan.pipeline.params, plan.params),
        start=_start(plan),
        payloads=SealedPayloads(platform.payloads, platform.keyring, plan.pipeline.name)
        if plan.pipeline.sensitive
        else platform.payloads,
        threads=platform.threads,
        call_seconds=durations.seconds(plan.pipeline.timeouts.extract),
        inbox=_inbox(plan, platform),
        reader=f"{plan.stream or pipeline.name}-{received_at(platform.settings)}",
    )


def _inbox(plan: Plan, platform: Platform) -> Inbox | None:
    pipeline = plan.pipeline
    if inbox_in(pipeline.extract.source) is None:
        return None
    keyring = platform.keyring if pipeline.sensitive else None
    return open_inbox(platform.settings, pipeline.name, pipeline.extract.source, keyring)


def _start(plan: Plan) -> Point | None:
    """Return the least value that the run takes of the column of incremental extraction."""
    config = plan.pipeline.extract.incremental
    return None if config is None or plan.replay is not None else least_taken(plan.window, config)


def open_source_of(plan: Plan, platform: Platform) -> Source:
    """Return the plan's source for this worker. Raises `SourceError` where its settings cannot be used."""
    try:
        context = context_of(plan, platform)
        if (problem := overlap(plan.pipeline.extract, plan.pipeline.load, context)) is not None:
            raise SourceError(str(problem))
        context = replace(context, sample=plan.beside)
        pace = plan.pipeline.pace
        if plan.stream is not None and plan.replay is None and pace is not None:
            from loom_connectors.watched.opening import open_stream  # few pipelines are streams

            return open_stream(plan.pipeline.extract, context, replace(pace, alone=platform.settings.embedded))
        return open_source(plan.pipeline.extract, context)
    except ConfigurationError as error:  # found this late, it fails the run rather than one slice
        raise SourceError(str(error)) from error
