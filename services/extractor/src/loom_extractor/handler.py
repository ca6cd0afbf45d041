"""A slice in; its batches, the records kept back, and the fact of the slice out."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import cast

from loom_common.breakers import Breakers
from loom_common.contracts.envelope import Message, Outgoing
from loom_common.contracts.v1 import ExtractSlice
from loom_common.domain import durations
from loom_common.domain.plan import Plan
from loom_common.domain.recovery import pause_after
from loom_common.domain.urls import redacted
from loom_common.leases import Leases
from loom_common.plans import PlanCache
from loom_common.ports.clock import Clock, SystemClock
from loom_common.record_checks import carried_from_input
from loom_common.slicing import SliceRecord, slice_messages, wanted
from loom_common.time_limits import within
from loom_connectors.ports import Page, Source
from loom_extractor.duplicates import Duplicates
from loom_extractor.identity import identified

OpenSource = Callable[[Plan], Source]


class Extractor:
    """Reads slices. Holds nothing that matters: the cursor in the message is the checkpoint."""

    def __init__(
        self,
        plans: PlanCache,
        sources: Leases[Source],
        open_source: OpenSource,
        duplicates: Duplicates,
        breakers: Breakers | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._plans = plans
        self._breakers = breakers or Breakers()
        self._clock = clock or SystemClock()
        self._sources = sources
        self._open_source = open_source
        self._duplicates = duplicates

    async def __call__(self, message: Message) -> list[Outgoing]:
        """Raises `SourceError` and its like where the source cannot be read, `PermanentError` under `abort`,
        `Timeout` where reading takes too long."""
        request = cast("ExtractSlice", message)
        plan = await self._plans.get(request.plan)
        extract = plan.pipeline.extract
        seconds = durations.seconds(plan.pipeline.timeouts.extract)
        async with within(seconds, "Reading a slice of the source", "timeouts.extract"):
            page, records = await self._recovered(request, plan)
        return slice_messages(
            request,
            records,
            batch_size=extract.batch_size,
            cursor=page.cursor,
            end=page.end,
            on_failure=extract.on_failure,
        )

    async def _recovered(self, request: ExtractSlice, plan: Plan) -> tuple[Page, list[SliceRecord]]:
        """The slice; under `retry` read again where records of it are bad, e.g. while a file is still being written."""
        extract = plan.pipeline.extract
        page, records = await self._read(request, plan)
        for attempt in range(1, extract.max_attempts if extract.on_failure == "retry" else 1):
            if not any(record.error for record in records):
                break
            await self._clock.sleep(pause_after(attempt, random.random()))  # noqa: S311 - spreads, hides nothing
            page, records = await self._read(request, plan)
        return page, records

    async def _read(self, request: ExtractSlice, plan: Plan) -> tuple[Page, list[SliceRecord]]:
        limit = wanted(request, plan.pipeline.extract.batch_size)
        if not limit:
            return Page((), request.cursor, end=True), []
        keys = plan.pipeline.extract.keys
        async with (
            self._sources.of(request.plan, lambda: self._open_source(plan)) as source,
            self._breakers.guarding(f"source {redacted(plan.pipeline.extract.source)}"),
        ):
            page = await source.read(request.cursor, limit)
            carried = carried_from_input(plan.pipeline)
            records = [identified(record, keys, carried) for record in page.records]
            if keys:
                records = await self._duplicates.marked(request, source, page, records, keys)
        return page, records
