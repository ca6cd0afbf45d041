"""Reads the records of a slice, gives each its id, and tells duplicates apart."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from loom_common.contracts.v1 import ExtractSlice
from loom_common.domain.checks.record_checks import carried_from_input
from loom_common.domain.frozen_models import replaced
from loom_common.domain.run.plan import Plan
from loom_common.domain.run.recovery import pause_after
from loom_common.domain.sequence import Lanes
from loom_common.domain.values import durations
from loom_common.ports.clock import Clock
from loom_common.user_code.stage_runner import Plans
from loom_common.user_code.time_limits import within
from loom_common.worker.slices import SliceRecord, wanted, wanted_bytes
from loom_connectors import pieces
from loom_connectors.ports.source import NearSource, Page, ReceivingSource, Source, VersionedSource
from loom_extractor import shares
from loom_extractor.duplicates import Duplicates
from loom_extractor.identity import all_identified
from loom_extractor.incremental import is_incremental, point_taken
from loom_extractor.sources.bounded_reading import BoundedReading, IdentifiedPage, Identify, PagesAhead, RecordSizes
from loom_extractor.sources.planned import PlannedSources
from loom_extractor.sources.read_ahead import ReadAhead
from loom_extractor.sources.received import RunsReceivedRecords
from loom_extractor.versions import Versions


@dataclass(frozen=True, slots=True)
class ReadSlice:
    """Holds what was read for a slice."""

    page: Page
    records: Sequence[SliceRecord]
    """Holds those of the page that are wanted."""
    lanes: Lanes | None = None
    """Says how they are cut into batches where records of one key stay in sequence."""
    size: int = 0
    """The number of bytes of all records of the page as JSON."""
    ahead: bool = False
    """Tells whether the source may be read before a slice is asked for."""


class SliceReader:
    """Reads slices of the sources of plans, and ahead in those whose slices follow one another."""

    def __init__(self, plans: Plans, sources: PlannedSources, duplicates: Duplicates, versions: Versions) -> None:
        self._plans = plans
        self._sources = sources
        self._duplicates = duplicates
        self._versions = versions
        self._sizes = RecordSizes()
        self._ahead = ReadAhead(self._read_on)
        self.closing = self._ahead.closing
        self.forget = self._ahead.forget

    async def read(self, request: ExtractSlice, plan: Plan, clock: Clock) -> ReadSlice:
        """Return the slice, and go on reading after it where the next one is expected. Raises `SourceError` and its
        like where the source cannot be read."""
        follows = self._ahead.follows(request)
        read = await self._read_until_good(request, plan, clock)
        expected = _next(request, read) if follows and read.ahead else None
        self._ahead.answered(request, expected=expected, size=read.size)
        return read

    async def _read_until_good(self, request: ExtractSlice, plan: Plan, clock: Clock) -> ReadSlice:
        """Return the slice; under `retry` read it again where records of it are bad, e.g. while a file is still being
        written."""
        extract = plan.pipeline.extract
        read = await self._read(request, plan, await self._ahead.taken(request))
        for attempt in range(1, extract.max_attempts if extract.on_failure == "retry" else 1):
            if not any(record.error for record in read.records):
                break
            await clock.sleep(pause_after(attempt, random.random()))  # noqa: S311 - spreads, hides nothing
            read = await self._read(request, plan, PagesAhead())
        return read

    async def _read(self, request: ExtractSlice, plan: Plan, ahead: PagesAhead) -> ReadSlice:
        limit = wanted(request, plan.pipeline.extract.batch_size)
        if not limit:
            return ReadSlice(Page((), request.cursor, end=True), [])
        extract, order_by = plan.pipeline.extract, plan.pipeline.order_by
        bounded = self._bounded(request, plan, ahead)
        async with self._sources.for_slice(request, plan, bounded.at_once) as source:
            until = _until(request)
            page, records, size = await bounded.read(source, request.cursor, limit, until)
            lanes = Lanes.of(order_by, len(page.records), extract.batch_size, math.ceil(size / extract.batch_bytes))
            if lanes is not None:
                fitting = lanes.fitting([each.data for each in page.records], extract.batch_size)
                if fitting < len(page.records):
                    page = await pieces.read(source, request.cursor, fitting, until)
                    records = records[:fitting]
            if extract.keys:
                records = await self._told_apart(request, plan, source, page, records, bounded.at_once)
        wanted_ones = shares.wanted(shares.of_slice(request), page.records, records)
        return ReadSlice(page, wanted_ones, lanes, size, ahead=plan.stream is None and _may_be_ahead(source))

    async def _read_on(self, request: ExtractSlice, most: int, give: Callable[[IdentifiedPage], None]) -> None:
        """Read a slice that is not asked for yet, page by page, up to `most` bytes."""
        plan = await self._plans.get(request.plan)
        seconds = durations.seconds(plan.pipeline.timeouts.extract)
        bounded, until = self._bounded(request, plan, PagesAhead()), _until(request)
        left, cursor = wanted(request, plan.pipeline.extract.batch_size), request.cursor
        async with (
            within(seconds, "Reading a slice of the source", "timeouts.extract"),
            self._sources.of(request.plan, plan) as source,
        ):
            while left > 0 and most > 0:
                found = await bounded.page(source, cursor, left, until)
                give(found)
                if found.page.end or not found.page.records:
                    return
                left, most, cursor = left - len(found.page.records), most - found.size, found.page.cursor

    def _bounded(self, request: ExtractSlice, plan: Plan, ahead: PagesAhead) -> BoundedReading:
        most_bytes = wanted_bytes(request, plan.pipeline.extract)
        return BoundedReading(self._sizes, request.plan, most_bytes, _identify(plan), ahead)

    async def _told_apart(
        self,
        request: ExtractSlice,
        plan: Plan,
        source: Source,
        page: Page,
        records: Sequence[SliceRecord],
        at_once: int,
    ) -> list[SliceRecord]:
        """Return the records with duplicates marked, and an incremental run's without those that a newer version of
        the same row replaces. A trial looks at the first records alone, and not at all of the source. Where keys before
        the page are looked for, `at_once` records are read."""
        keys, endless = plan.pipeline.extract.keys, plan.stream is not None
        if not is_incremental(plan):
            return await self._duplicates.marked(request, source, page, records, keys, at_once, endless=endless)
        point = partial(point_taken, plan=plan)
        if isinstance(source, VersionedSource) and not plan.beside:
            return await self._versions.newest(request, source, page, records, keys, point, at_once)

        def takes(record: SliceRecord) -> bool:
            return point(record) is not None

        return await self._duplicates.marked(request, source, page, records, keys, at_once, takes=takes)


def _may_be_ahead(source: Source) -> bool:
    """Tell whether it brings anything to read on, and takes nothing from anybody. A source that is near only computes,
    which what publishes batches does meanwhile. One that gives each record once is read when it is asked for."""
    if isinstance(source, ReceivingSource | RunsReceivedRecords):
        return False
    return not (isinstance(source, NearSource) and source.is_near)


def _identify(plan: Plan) -> Identify:
    return partial(
        all_identified,
        keys=plan.pipeline.extract.keys,
        carried=carried_from_input(plan.pipeline),
        sensitive=plan.pipeline.sensitive_fields,
        order_by=plan.pipeline.order_by,
    )


def _until(request: ExtractSlice) -> object:
    return None if request.piece is None else request.piece.until


def _next(request: ExtractSlice, read: ReadSlice) -> ExtractSlice | None:
    """Return the request for the next slice, as it is expected; None where none is."""
    left = None if request.limit is None else request.limit - len(read.page.records)
    if read.page.end or request.positions is not None or (left is not None and left <= 0):
        return None
    return replaced(request, slice=request.slice + 1, cursor=read.page.cursor, limit=left)
