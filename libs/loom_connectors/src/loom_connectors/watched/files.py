"""Watches files, and gives the records of each once.

They are taken in the order in which they appeared, as their listing tells it, and then by name. What has been read is
kept in Loom, so a file may be removed once its records are there."""

from __future__ import annotations

import asyncio
import datetime as dt
import heapq
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from loom_common.domain.definition.streams.settings import Pace
from loom_common.domain.values import durations
from loom_common.domain.values.fields import Fields
from loom_common.errors import PermanentError, RecordError
from loom_common.ports.clock import Clock
from loom_common.ports.received_pages import ReceivedMessage
from loom_connectors.ports import kept_records
from loom_connectors.ports.kept_records import ReceivedRecords
from loom_connectors.ports.places import END, START, TIMES, FoundPlace, NamedPlace, shown
from loom_connectors.ports.source import Page, ReadRecord, Source
from loom_connectors.watched.late import LastLook
from loom_connectors.watched.listing import Listed, Listing
from loom_connectors.watched.taken import TakenFiles
from loom_connectors.watched.waiting import looked_for

_LONGEST_SECONDS = 10.0
"""The most that one question to the place waits for a file that may still be written to."""


class WatchedFiles:
    """Represents files that appear at a place as a `ReceivingSource`."""

    def __init__(self, listing: Listing, pace: Pace, clock: Clock) -> None:
        self._listing = listing
        self._clock = clock
        self._pace = pace
        self._poll = listing.poll_seconds if pace.poll_seconds is None else pace.poll_seconds
        self._found: list[Listed] = []
        """Holds what the last look found and nobody had taken, in order. Whatever the state is that comes next, a file
        is in it that was not taken then."""
        self._next_look = float("-inf")
        self._last_look = LastLook()
        self._moved: str | None = None
        """Names the place that somebody has had the stream begin at."""
        self._reading: tuple[str, Any, Source] | None = None
        self.origin = listing.place
        self.remembered_seconds = durations.seconds("3650d")

    async def check(self) -> None:
        async with self._first() as source:
            if source is not None:
                await source.check()

    async def count(self) -> int | None:
        """Return None: files may come."""
        return None

    async def fields(self) -> Fields | None:
        async with self._first() as source:
            return None if source is None else await source.fields()

    async def read(self, cursor: Any, limit: int) -> Page:
        """Look at the records of the files that are there."""
        if await asyncio.to_thread(self._listing.first) is None:
            return Page((), cursor, end=True)
        return await self._listing.whole().read(cursor, limit)

    async def receive(self, state: Any, limit: int) -> ReceivedRecords:
        """Give records of the file that was begun, or of the next; and of those after it that the same look found,
        for as long as a record may wait for others."""
        taken = TakenFiles(state)
        if self._moved != (moved := None if state is None else state.get("moved")):
            # What the last look found was found for another place.
            self._moved, self._found, self._next_look = moved, [], float("-inf")
            self._last_look = LastLook()
        file = None if state is None else state["file"]
        if file is None:
            await self._close_file()
            self._forget_taken(taken)
            if (found := await looked_for(lambda: self._look(taken), self._poll, self._clock)) is None:
                return ReceivedRecords((), state)
            file = self._begun(taken, found)
        ends = self._clock.monotonic() + self._pace.wait_seconds
        messages: list[ReceivedMessage] = []
        room = limit
        while True:
            records, file = await self._records(file, room)
            if records:
                messages.append(kept_records.written(records))
            room -= len(records)
            if file is not None or room <= 0 or self._clock.monotonic() >= ends:
                break
            if (following := self._untaken(taken)) is None or self._listing.seconds_until_settled(following) > 0:
                break
            file = self._begun(taken, following)
        return ReceivedRecords(messages, _state(taken, file, moved))

    async def place(self, named: NamedPlace, state: Any) -> FoundPlace:
        return await asyncio.to_thread(self._place, named, state)

    def _place(self, named: NamedPlace, state: Any) -> FoundPlace:
        files = sorted(self._listing.files(), key=lambda each: (each.changed, each.path))
        if named.text == START:
            first, words = (0, ""), "the first file"
        elif named.text == END:
            last = files[-1] if files else None
            first = (0, "") if last is None else (last.changed, f"{last.path}\0")
            words = "the end, before the first file"
            if last is not None:
                words = f"the end, after {self._listing.shown(last.path)}"
        elif (moment := named.moment) is not None:
            first, words = (int(moment.timestamp() * 10**9), ""), f"the first file since {shown(moment)}"
        else:
            file = next((each for each in files if named.text in (each.path, self._listing.shown(each.path))), None)
            if file is None:
                short = [each for each in files if each.path.endswith(f"/{named.text}")]
                file = short[0] if len(short) == 1 else None
            if file is None:
                expected = f"{TIMES}, the name of a file that is there, `{START}` or `{END}`"
                named.refuse(self._listing.place, expected)
            first, words = (file.changed, file.path), self._listing.shown(file.path)
        taken = TakenFiles(state)
        had = 0 if state is None else sum(taken.has(each) and (each.changed, each.path) >= first for each in files)
        second = first[0] // 10**9
        marks = [each.mark for each in files if each.second == second and (each.changed, each.path) < first]
        after = {"newest": second, "least": second, "taken": {str(second): " ".join(marks)} if marks else {}}
        was = None if state is None else "its beginning"
        if taken.newest:
            was = f"the end of the files of {_since(taken)}"
        return FoundPlace({**after, "file": None, "moved": uuid4().hex[:8]}, words, was, back=had > 0)

    def records_of(self, body: bytes, position: str) -> Sequence[ReadRecord]:
        return kept_records.records_of(body)

    async def close(self) -> None:
        await self._close_file()
        await self._listing.close()

    @asynccontextmanager
    async def _first(self) -> AsyncIterator[Source | None]:
        source = await asyncio.to_thread(self._listing.first)
        try:
            yield source
        finally:
            if source is not None and source is not self._listing.whole():
                await source.close()

    def _begun(self, taken: TakenFiles, file: Listed) -> dict[str, Any]:
        taken.add(file, self._listing.lag_seconds)
        return {"path": file.path, "cursor": None, "version": file.version}

    async def _look(self, taken: TakenFiles) -> Listed | None:
        """Return the file that is next, once it may be read. No file is passed over."""
        found = await self._next(taken)
        if found is None:
            return None
        left = self._listing.seconds_until_settled(found)
        if 0 < left <= _LONGEST_SECONDS:  # it has arrived, and is read before a drain ends
            await self._clock.sleep(left)
        elif left <= 0:
            return found
        self._found, self._next_look = [], float("-inf")
        found = await self._next(taken)
        return found if found is not None and self._listing.seconds_until_settled(found) <= 0 else None

    async def _next(self, taken: TakenFiles) -> Listed | None:
        """Return the first file that nobody has taken: of those that the last look found, else of a new look, where it
        is time for one."""
        if (found := self._untaken(taken)) is not None or self._clock.monotonic() < self._next_look:
            return found
        self._found = await asyncio.to_thread(self._untaken_files, taken)
        # Where there may be more, nobody waits to look for them.
        more = len(self._found) == self._listing.most
        self._next_look = float("-inf") if more else self._clock.monotonic() + self._poll
        return self._found[0] if self._found else None

    def _forget_taken(self, taken: TakenFiles) -> None:
        """Forget those at the front of the last look that were taken, and whose records are kept."""
        kept = next((at for at, each in enumerate(self._found) if not taken.has(each)), len(self._found))
        del self._found[:kept]

    def _untaken(self, taken: TakenFiles) -> Listed | None:
        told = self._last_look.is_trusted(taken)
        return next((each for each in self._found if not taken.has(each) and (told or not each.late)), None)

    def _untaken_files(self, taken: TakenFiles) -> list[Listed]:
        files = self._listing.files()
        if self._listing.finds_late:
            untaken = self._last_look.untaken(files, taken, self._listing.place)
        else:
            untaken = (each for each in files if not taken.has(each))
        return heapq.nsmallest(self._listing.most, untaken, key=lambda each: (each.changed, each.path))

    async def _records(self, file: dict[str, Any], limit: int) -> tuple[list[ReadRecord], dict[str, Any] | None]:
        """Read records of a file, and return what is to be read on. One that cannot be read is one record with an
        error, and the next file follows."""
        path, cursor, version = file["path"], file["cursor"], file.get("version")
        try:
            page = await self._source(path, version).read(cursor, limit)
        except (PermanentError, FileNotFoundError) as error:
            await self._close_file()
            there = await asyncio.to_thread(self._listing.is_there, path, version)
            if there and not self._listing.is_of_one_file(error):
                raise
            return self._broken(file, error, there=there), None
        if page.end:
            await self._close_file()
        named = [
            ReadRecord(self._listing.position(path, each.position), each.data, each.error) for each in page.records
        ]
        return named, None if page.end else {**file, "cursor": page.cursor}

    def _broken(self, file: dict[str, Any], error: Exception, *, there: bool) -> list[ReadRecord]:
        """Return the record that stands for what was not read of a file; none where it had gone, or there was another
        one in its place, before anything of it was read."""
        if not there and file["cursor"] is None:
            return []
        name = self._listing.shown(file["path"])
        words = f"The file {name} cannot be read{' on' if file['cursor'] else ''}: {error}"
        if not there:
            words = f"The file {name} was removed, or written again, before all of it was read."
        return [ReadRecord(name, {"file": name}, RecordError(words, code="unreadable_file"))]

    def _source(self, path: str, version: Any) -> Source:
        if self._reading is None or self._reading[:2] != (path, version):
            self._reading = (path, version, self._listing.opened(path, version))
        return self._reading[2]

    async def _close_file(self) -> None:
        if self._reading is not None:
            reading, self._reading = self._reading, None
            await reading[2].close()


def _state(taken: TakenFiles, file: dict[str, Any] | None, moved: str | None) -> dict[str, Any]:
    found = {**taken.written(), "file": file}
    return found if moved is None else {**found, "moved": moved}


def _since(taken: TakenFiles) -> str:
    return shown(dt.datetime.fromtimestamp(taken.newest, dt.UTC))
