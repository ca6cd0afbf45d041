"""Composes the loader service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from loom_ai.quality_stage import QualityStage
from loom_common import flow
from loom_common.caching.resource_cache import ResourceCache
from loom_common.contracts.v1 import BatchEvaluated, CheckDestination, FinalizeLoad
from loom_common.domain.model_options.params import typed
from loom_common.domain.quality.kinds import Reference
from loom_common.domain.run.plan import Plan
from loom_common.domain.values import durations
from loom_common.errors import ConfigurationError, DestinationError
from loom_common.flow import Stage
from loom_common.plugins.kinds import Kind
from loom_common.sealing.payloads import SealedPayloads
from loom_common.service.bootstrap import Platform, Service
from loom_common.service.stage_service import StageService
from loom_common.worker import router
from loom_common.worker.consumer_spec import Accepts, ConsumerSpec
from loom_connectors.overlaps import overlap
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.destination import Destination
from loom_connectors.references import column_values
from loom_connectors.registry import open_destination, runs_foreign_code
from loom_loader.destination_check import DestinationCheck
from loom_loader.handler import Loader


def build(platform: Platform) -> Service:
    """Build the loader service on `platform`."""
    destinations: ResourceCache[Destination] = ResourceCache(credentials=platform.credentials)

    async def open_planned(plan: Plan) -> Destination:
        if runs_foreign_code(plan.pipeline.load.destination, Kind.DESTINATION):  # importing it may take long
            return await asyncio.to_thread(open_destination_of, plan, platform)
        return open_destination_of(plan, platform)

    def other_source(plan: Plan, check: Reference) -> AsyncIterator[Sequence[Any]]:
        return column_values(plan, check, lambda plan: context_of(plan, platform))

    quality = QualityStage(platform, Stage.LOAD, other_source)

    @asynccontextmanager
    async def closing() -> AsyncIterator[None]:
        async with destinations.closing(), quality.closing():
            yield

    loader = Loader(platform.plans, destinations, open_planned, platform.breakers, quality.checker)
    check = DestinationCheck(platform.plans, destinations, open_planned, platform.breakers, platform.credentials)
    queue = flow.work_queue(Stage.LOAD)
    accepts = (
        Accepts(CheckDestination, check, router.checked_destination),
        Accepts(BatchEvaluated, platform.sealed.of(loader.load), router.loaded),
        Accepts(FinalizeLoad, loader.finalize, router.finalized),
    )
    consumer = ConsumerSpec(queue, accepts, platform.settings.worker.prefetch)
    return StageService("loader", [consumer], platform, closing)


def context_of(plan: Plan, platform: Platform) -> ConnectorContext:
    """Return what a destination of the plan may know of this worker. Raises `ConfigurationError`."""
    return ConnectorContext(
        folder=platform.project / plan.base,
        allowed=platform.settings.allowed,
        credentials=platform.credentials,
        params=typed(plan.pipeline.params, plan.params),
        output_schema=plan.pipeline.transform.declared_schema,
        record_key=plan.pipeline.row_key,
        adds=plan.replay is not None,
        sample=plan.beside,
        payloads=SealedPayloads(platform.payloads, platform.keyring, plan.pipeline.name)
        if plan.pipeline.sensitive
        else platform.payloads,
        threads=platform.threads,
        call_seconds=durations.seconds(plan.pipeline.timeouts.load),
    )


def open_destination_of(plan: Plan, platform: Platform) -> Destination:
    """Open the plan's destination, as seen from this worker. Raises `DestinationError` where its settings cannot be
    used."""
    try:
        context = context_of(plan, platform)
        if (problem := overlap(plan.pipeline.extract, plan.pipeline.load, context)) is not None:
            raise DestinationError(str(problem))
        return open_destination(plan.pipeline.load, context)
    except ConfigurationError as error:  # found this late, it fails the run rather than one batch
        raise DestinationError(str(error)) from error
