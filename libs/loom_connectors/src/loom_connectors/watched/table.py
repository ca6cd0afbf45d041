"""Reads a table, or an API, again and again from the newest value that was read, and gives each record once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from loom_common.domain.checks.record_checks import key_of
from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.definition.streams.settings import Pace
from loom_common.domain.incremental.window import (
    Point,
    Window,
    joined,
    judged,
    least_taken,
    point_of,
    start_of,
    window_of,
)
from loom_common.domain.values import durations
from loom_common.domain.values.fields import Fields
from loom_common.domain.values.urls import redacted
from loom_common.errors import RecordError
from loom_connectors.ports import kept_records
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.kept_records import ReceivedRecords
from loom_connectors.ports.places import END, START, TIMES, FoundPlace, NamedPlace
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
        least = None if state.get("least") is None else Point(**state["least"])
        page = await self._source(mark, least).read(state["cursor"], limit)
        # A row that changed is read again, at the same place: only the look tells the two apart.
        named = [replace(each, position=f"{each.position}, look {state['look']}") for each in page.records]
        found, points = self._taken(named, mark, least)
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
        if least is not None:
            after["least"] = state["least"]
        messages = (kept_records.written(found),) if found else ()
        return ReceivedRecords(messages, after)

    def records_of(self, body: bytes, position: str) -> Sequence[ReadRecord]:
        return kept_records.records_of(body)

    async def close(self) -> None:
        await self._end_look()
        await self._whole.close()

    async def place(self, named: NamedPlace, state: Any) -> FoundPlace:
        number = 1 if state is None else state["look"] + 1
        column = self._incremental.column
        mark = (
            None if state is None else joined([_window(state["mark"]), _window(state["seen"])], self._incremental.lag)
        )
        was = None if mark is None else f"{column} {mark.newest.text}"
        after = {"mark": None, "seen": None, "cursor": None, "look": number, "looking": False}
        if named.text == START:
            first = start_of(self._incremental)
            words = "its first value" if first is None else f"{column} {first.text}"
            return FoundPlace(after, words, was, back=mark is not None)
        point = await self._named_point(named, mark)
        words = f"{column} {point.text}"
        back = mark is not None and point.order <= mark.newest.order
        return FoundPlace({**after, "least": point.model_dump()}, words, was, back=back)

    async def _named_point(self, named: NamedPlace, mark: Window | None) -> Point:
        """Return the value of the column that somebody has named. It has to be of the kind that its values are of."""
        column = self._incremental.column
        place = f"{self.origin} by its column '{column}'"
        expected = f"a value of the column, {TIMES} where it holds times, or `{START}`"
        if named.text == END:
            named.refuse(place, expected, "nobody knows its last value before all of it is read")
        moment = named.moment
        try:
            point = point_of(named.text if moment is None else moment.isoformat(), self._incremental)
        except RecordError as error:
            named.refuse(place, expected, str(error).partition(": ")[2].rstrip("."))
        kind = None if mark is None else mark.newest.kind
        if kind is None:
            page = await self._whole.read(None, 1)
            with suppress(RecordError):
                kind = next((point_of(each.data.get(column), self._incremental).kind for each in page.records), None)
        if kind is not None and kind != point.kind:
            named.refuse(place, expected, f"it is a {point.kind}, and the column holds a {kind}")
        return point

    def _taken(
        self, records: Sequence[ReadRecord], mark: Window | None, least: Point | None
    ) -> tuple[list[ReadRecord], dict[str, Point]]:
        """Return those of these records that are new, none of which is below `least`, and the points of all of them
        that tell one, by key."""
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
                if least is not None and least.kind == point.kind and point.order < least.order:
                    kind = "old"
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

    def _source(self, mark: Window | None, least: Point | None) -> Source:
        """Return the source, which is asked for nothing below the mark, or `least`. The one of a look is kept until its
        end."""
        named = f"{'' if mark is None else mark.newest.text} {'' if least is None else least.text}"
        if self._looking is None or self._looking[0] != named:
            start = least_taken(mark, self._incremental)
            if least is not None and (mark is None or (start is not None and start.order < least.order)):
                start = least
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
