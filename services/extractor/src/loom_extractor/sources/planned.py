"""Lends the source of a plan to those who read it for a run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from loom_common.caching.resource_cache import ResourceCache
from loom_common.contracts.v1 import BatchHeader, ExtractSlice
from loom_common.domain.run.plan import Plan
from loom_common.domain.values.urls import redacted
from loom_common.resilience.breakers import Breakers
from loom_connectors.ports.source import ReceivingSource, Source
from loom_extractor import shares
from loom_extractor.sources.lost_sources import LostSources
from loom_extractor.sources.received import ReceivedRecords

OpenSource = Callable[[Plan], Source | Awaitable[Source]]


class PlannedSources:
    """Opens the source of each plan once. Its breaker learns whether it could be reached."""

    def __init__(
        self,
        sources: ResourceCache[Source],
        open_source: OpenSource,
        breakers: Breakers,
        received: ReceivedRecords | None,
    ) -> None:
        """`received` keeps what is taken from queues."""
        self._sources = sources
        self._open_source = open_source
        self._breakers = breakers
        self._received = received
        self._lost = LostSources()

    @asynccontextmanager
    async def of(self, plan_hash: str, plan: Plan) -> AsyncIterator[Source]:
        """Lend the source of a plan as it is."""
        location = plan.pipeline.extract.source
        async with (
            self._sources.of(plan_hash, lambda: self._open_source(plan), (location,)) as source,
            self._breakers.guarding(f"source {redacted(location)}"),
        ):
            yield source

    @asynccontextmanager
    async def for_slice(self, request: ExtractSlice, plan: Plan, at_once: int) -> AsyncIterator[Source]:
        """Lend the source as the run may read it: what gives each record once is received, `at_once` messages at most,
        and kept. Raises
        `BreakerOpen` where the source of a stream is away."""
        async with self._lost.of(plan), self.of(request.plan, plan) as source:
            if not isinstance(source, ReceivingSource) or self._received is None:
                yield source
                return
            first, share = request.cursor is None, shares.of_slice(request)
            yield await self._received.of(
                source,
                plan.stream or request.run_id,
                first=first,
                taking=share is None or not share.on_trial,  # what is on trial was received for the window beside it
                trial=plan.beside,
                endless=plan.stream is not None,
                closing=request.closing,
                at_once=at_once,
                sealed_for=_sealed_for(plan),
            )

    @asynccontextmanager
    async def as_it_was_read(self, header: BatchHeader, plan: Plan) -> AsyncIterator[Source]:
        """Lend what the run of a batch has read of the source, where nobody can read it again; else the source."""
        async with self.of(header.plan, plan) as source:
            if not isinstance(source, ReceivingSource) or self._received is None:
                yield source
                return
            yield await self._received.of(
                source,
                plan.stream or _first_reader(plan, header.run_id),
                first=False,
                taking=False,
                trial=plan.beside,
                sealed_for=_sealed_for(plan),
            )


def _sealed_for(plan: Plan) -> str | None:
    return plan.pipeline.name if plan.pipeline.sensitive else None


def _first_reader(plan: Plan, run_id: str) -> str:
    """Return the run that read the records of a plan from their source: a replay reads none itself."""
    return run_id if plan.replay is None else plan.replay.origin or plan.replay.run_id
