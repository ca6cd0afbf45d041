"""Asks an extractor for one slice after the other, of a source that notes from where it was read."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

from loom_common.adapters.payloads.folder import FolderPayloads
from loom_common.caching.plan_cache import PlanCache
from loom_common.caching.resource_cache import ResourceCache
from loom_common.contracts.v1 import ExtractSlice
from loom_common.domain.definition.reader import parse
from loom_common.domain.run.plan import Plan
from loom_common.errors import SourceError
from loom_connectors.ports.source import Page, ReadRecord
from loom_dev.waiting import within
from loom_extractor.duplicates import Duplicates
from loom_extractor.handler import Extractor
from support.handling import Context, outgoing_of


class RecordedSource:
    """Notes from where it was read. It can be held up, and can fail."""

    def __init__(self, records):
        self.records = records
        self.read_from = []
        self.fails_at = None
        self.waits_at = None
        self.cancelled = False

    async def read(self, cursor, limit):
        start = cursor or 0
        self.read_from.append(start)
        if self.fails_at == start:
            raise SourceError("The line is broken.")
        if self.waits_at == start:
            try:
                await asyncio.Event().wait()
            finally:
                self.cancelled = True
        page = self.records[start : start + limit]
        return Page(page, start + len(page), end=start + len(page) >= len(self.records))

    async def close(self): ...


class QueueSource(RecordedSource):
    """Gives each message once."""

    origin = "queue"
    remembered_seconds = 60.0

    async def check(self): ...

    async def count(self): ...

    async def fields(self): ...

    async def receive(self, state, limit): ...

    def records_of(self, body, position): ...


def numbered(count, size=0):
    return [ReadRecord(f"row {at}", {"id": at, "text": "x" * size}) for at in range(count)]


def one_file(folder):
    file = folder / "x.csv"
    file.write_text("id,text\n" + "".join(f"{at},x\n" for at in range(40)))
    return file


class Reader:
    """Asks an extractor for one slice after the other."""

    def __init__(self, folder, source, **sections):
        self.extractor = None
        self.source = source
        self.payloads = FolderPayloads(folder)
        extract = {"source": "x.csv", "batch_size": 2, **sections.pop("extract", {})}
        transform = {"type": "python", "function": "transforms:judged"}
        definition = {
            "name": "p",
            "extract": extract,
            "transform": transform,
            "load": {"destination": "y.csv"},
            **sections,
        }
        self.plan = Plan(pipeline=parse(definition))

    @asynccontextmanager
    async def opened(self):
        duplicates = Duplicates()
        self.extractor = Extractor(PlanCache(self.payloads), ResourceCache(), lambda _: self.source, duplicates)
        async with duplicates.closing(), self.extractor.closing():
            yield self

    @property
    def readings(self):
        return self.extractor._reader._ahead._readings

    @property
    def held(self):
        return self.extractor._reader._ahead.held

    async def slice(self, number, cursor, **request):
        """Return what follows from the request for a slice."""
        defaults = {"run_id": "run_1", "pipeline": "p", "epoch": 1, "partition": 0, "max_batches": 2}
        plan = await self.payloads.put(self.plan.encoded())
        asked = ExtractSlice(**{**defaults, "plan": plan, "slice": number, "cursor": cursor, **request})
        return await outgoing_of(self.extractor.read, asked, Context())

    async def begun(self, **request):
        """Ask for the first two slices, which follow one another."""
        await self.slice(0, None, **request)
        return (await self.slice(1, 4, **request))[0].message.cursor

    async def read_on(self):
        """Wait for what is being read."""
        async with within(10, "what is read ahead"):
            while any(not each.task.done() for each in self.readings.values()):
                await asyncio.sleep(0)


@asynccontextmanager
async def reader(folder, source=None, **sections):
    async with Reader(folder, source or RecordedSource(numbered(30)), **sections).opened() as opened:
        yield opened
