"""A slice in; its batches, the records kept back, and the fact of the slice out."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from loom_common.contracts.envelope import Message, Outgoing
from loom_common.contracts.v1 import ExtractSlice
from loom_common.domain.plan import Plan
from loom_common.leases import Leases
from loom_common.plans import PlanCache
from loom_common.slicing import SliceRecord, slice_messages, wanted
from loom_connectors.ports import Page, Source
from loom_extractor.duplicates import Duplicates
from loom_extractor.identity import identified

OpenSource = Callable[[Plan], Source]


class Extractor:
    """Reads slices. Holds nothing that matters: the cursor in the message is the checkpoint."""

    def __init__(
        self, plans: PlanCache, sources: Leases[Source], open_source: OpenSource, duplicates: Duplicates
    ) -> None:
        self._plans = plans
        self._sources = sources
        self._open_source = open_source
        self._duplicates = duplicates

    async def __call__(self, message: Message) -> list[Outgoing]:
        """Raises `SourceError` and its like where the source cannot be read, `PermanentError` under `abort`."""
        request = cast("ExtractSlice", message)
        plan = await self._plans.get(request.plan)
        extract = plan.pipeline.extract
        page, records = await self._read(request, plan)
        return slice_messages(
            request,
            records,
            batch_size=extract.batch_size,
            cursor=page.cursor,
            end=page.end,
            on_failure=extract.on_failure,
        )

    async def _read(self, request: ExtractSlice, plan: Plan) -> tuple[Page, list[SliceRecord]]:
        limit = wanted(request, plan.pipeline.extract.batch_size)
        if not limit:
            return Page((), request.cursor, end=True), []
        keys = plan.pipeline.extract.keys
        async with self._sources.of(request.plan, lambda: self._open_source(plan)) as source:
            page = await source.read(request.cursor, limit)
            records = [identified(record, keys) for record in page.records]
            if keys:
                records = await self._duplicates.marked(request, source, page, records, keys)
        return page, records
