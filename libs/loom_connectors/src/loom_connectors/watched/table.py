"""Reads a table, or an API, again and again from the newest value that was read, and gives each record once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from loom_common.domain.checks.record_checks import key_of
from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.definition.streams.settings import Pace
from loom_common.domain.incremental.window import Point, Window, joined, judged, least_taken, point_of, window_of
from loom_common.domain.values import durations
from loom_common.domain.values.fields import Fields
from loom_common.domain.values.urls import redacted
from loom_common.errors import RecordError
from loom_connectors.ports import kept_records
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.kept_records import ReceivedRecords
from loom_connectors.ports.source import Page, ReadRecord, Source
from loom_connectors.watched.waiting import QUIET_SECONDS

Open = Callable[[ExtractConfig, ConnectorContext], Source]

_POLL_SECONDS = 10.0


class PolledTable:
    """Represents a source with incremental extraction as a `ReceivingSource`.

    A *look* reads all that is not below the mark, page by page. The mark moves at its end, because a database gives
    rows in the order of their key and not in that of the column. What was read meanwhile is known by its key."""

    def __init__(
        self, config: ExtractConfig, context: ConnectorContext, pace: Pace, source: Source, open_source: Open
    ) -> None:
        assert config.incremental is not None
        self._config = config
        self._incremental = config.incremental
        self._context = context
        self._whole = source
        self._open = open_source
        self._poll = _POLL_SECONDS if pace.poll_seconds is None else pace.poll_seconds
        self._looking: tuple[str, Source] | None = None
        self._next_look = float("-inf")
        self.origin = redacted(config.source)
        self.remembered_seconds = durations.seconds("3650d")

    async def check(self) -> None:
        await self._whole.check()

    async def count(self) -> int | None:
        """Return None: records may come."""
        return None

    async def fields(self) -> Fields | None:
        return await self._whole.fields()

    async def read(self, cursor: Any, limit: int) -> Page:
        """Look at the first records."""
        return await self._whole.read(cursor, limit)

    async def receive(self, state: Any, limit: int) -> ReceivedRecords:
        """Give what the next page of a look has that nobody has read. Waits for the next look."""
        state = state or {"mark": None, "seen": None, "cursor": None, "look": 1, "looking": False}
        clock = self._context.clock
        if not state["looking"]:
            if (left := self._next_look - clock.monotonic()) > 0:
                await clock.sleep(min(left, QUIET_SECONDS))
            if clock.monotonic() < self._next_look:
                return ReceivedRecords((), state)
            await self._end_look()
        mark = _window(state["mark"])
        page = await self._source(mark).read(state["cursor"], limit)
        # A row that changed is read again, at the same place: only the look tells the two apart.
        named = [replace(each, position=f"{each.position}, look {state['look']}") for each in page.records]
        found, points = self._taken(named, mark)
        lag = self._incremental.lag
        seen = joined([_window(state["seen"]), window_of(points, self._incremental)], lag)
        if page.end:
            self._next_look = clock.monotonic() + self._poll
            await self._end_look()
            number = state["look"] + bool(found)
            mark = joined([mark, seen], lag)
            after = {"mark": _written(mark), "seen": None, "cursor": None, "look": number, "looking": False}
        else:
            place = {"cursor": page.cursor, "look": state["look"], "looking": True}
            after = {"mark": state["mark"], "seen": _written(seen), **place}
        messages = (kept_records.written(found),) if found else ()
        return ReceivedRecords(messages, after)

    def records_of(self, body: bytes, position: str) -> Sequence[ReadRecord]:
        return kept_records.records_of(body)

    async def close(self) -> None:
        await self._end_look()
        await self._whole.close()

    def _taken(self, records: Sequence[ReadRecord], mark: Window | None) -> tuple[list[ReadRecord], dict[str, Point]]:
        """Return those of these records that are new, and the points of all of them that tell one, by key."""
        config = self._incremental
        found: list[ReadRecord] = []
        points: dict[str, Point] = {}
        for record in records:
            if record.error is not None:
                found.append(record)
                continue
            try:
                key = key_of(record.data, self._config.keys, record.position)
                point = point_of(record.data.get(config.column), config)
                kind = judged(point, key, mark, config)
            except RecordError as error:
                found.append(replace(record, error=error))
                continue
            if kind in ("new", "late"):
                points[key] = point
            if kind == "new" or (kind == "late" and config.on_late == "load"):
                found.append(record)
            elif kind == "late" and config.on_late == "quarantine":
                words = f"The record came late: its '{config.column}' is below what was read before."
                late = RecordError(words, code="late", details={"field": config.column})
                found.append(replace(record, error=late))
        return found, points

    def _source(self, mark: Window | None) -> Source:
        """Return the source, which is asked for nothing below the mark. The one of a look is kept until its end."""
        named = "" if mark is None else mark.newest.text
        if self._looking is None or self._looking[0] != named:
            start = least_taken(mark, self._incremental)
            self._looking = (named, self._open(self._config, replace(self._context, start=start)))
        return self._looking[1]

    async def _end_look(self) -> None:
        if self._looking is not None:
            looking, self._looking = self._looking, None
            await looking[1].close()


def _window(written: Any) -> Window | None:
    return None if written is None else Window(**written)


def _written(window: Window | None) -> Any:
    return None if window is None else window.model_dump(mode="json")
