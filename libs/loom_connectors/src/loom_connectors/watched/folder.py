"""Watches files of this machine that match a pattern, and gives the records of each once.

Files are taken in the order in which they were put there, by the time of the last change of their entries (`ctime`),
which moving a file into a folder sets, and nobody else can. What has been read is kept in Loom, so a file may be
removed once its records are there."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.definition.streams.settings import Pace
from loom_common.domain.values import durations
from loom_common.domain.values.fields import Fields
from loom_common.errors import InvalidDefinition, PermanentError, Problem, RecordError, SourceError
from loom_connectors.ports import kept_records
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.kept_records import ReceivedRecords
from loom_connectors.ports.source import Page, ReadRecord, Source
from loom_connectors.storage.local_storage import LocalInputs
from loom_connectors.watched.waiting import looked_for

Open = Callable[[ExtractConfig, ConnectorContext], Source]

_POLL_SECONDS = 0.2
_SETTLED_SECONDS = 1.0
_LONGEST_SECONDS = 10.0
"""The most that one question to the folder waits for a file that may still be written to."""
_LAG_NS = 2 * 10**9
"""Says how far below the newest file one is looked for that appeared late: clocks of file systems are coarse."""


@dataclass(frozen=True, slots=True)
class _Found:
    """Describes a file that is there."""

    path: str
    changed: int
    """Says when its entry was changed, in nanoseconds."""
    size: int
    written: int
    """Says when its content was changed, in nanoseconds."""

    @property
    def version(self) -> list[int]:
        return [self.changed, self.size, self.written]


class WatchedFolder:
    """Represents files that appear in a folder as a `ReceivingSource`."""

    def __init__(self, config: ExtractConfig, context: ConnectorContext, pace: Pace, open_source: Open) -> None:
        self._settled = _SETTLED_SECONDS if config.settle is None else durations.seconds(config.settle)
        self._config = config
        self._context = context
        self._open = open_source
        self._inputs = LocalInputs(context.credentials.expand(config.source), context)
        self._whole = open_source(config, context)
        self._poll = _POLL_SECONDS if pace.poll_seconds is None else pace.poll_seconds
        self._reading: tuple[str, Source] | None = None
        self.origin = self._inputs.place
        self.remembered_seconds = durations.seconds("3650d")

    async def check(self) -> None:
        if await asyncio.to_thread(self._files):
            await self._whole.check()

    async def count(self) -> int | None:
        """Return None: files may come."""
        return None

    async def fields(self) -> Fields | None:
        return await self._whole.fields() if await asyncio.to_thread(self._files) else None

    async def read(self, cursor: Any, limit: int) -> Page:
        """Look at the records of the files that are there."""
        if not await asyncio.to_thread(self._files):
            return Page((), cursor, end=True)
        return await self._whole.read(cursor, limit)

    async def receive(self, state: Any, limit: int) -> ReceivedRecords:
        """Give records of one file: the one that was begun, or the next."""
        state = state or {"newest": 0, "taken": {}, "file": None}
        if state["file"] is not None:
            return await self._records(state, state["file"]["path"], state["file"]["cursor"], limit)
        await self._close_file()

        async def look() -> _Found | None:
            found = await asyncio.to_thread(self._next, state)
            if (
                isinstance(found, float) and found <= _LONGEST_SECONDS
            ):  # it has arrived, and is read before a drain ends
                await self._context.clock.sleep(found)
                found = await asyncio.to_thread(self._next, state)
            return found if isinstance(found, _Found) else None

        found = await looked_for(look, self._poll, self._context.clock)
        if found is None:
            return ReceivedRecords((), state)
        least = found.changed - _LAG_NS
        taken = {path: version for path, version in state["taken"].items() if version[0] >= least}
        taken[found.path] = found.version
        begun = {"newest": max(found.changed, state["newest"]), "taken": taken, "file": None}
        return await self._records(begun, found.path, None, limit)

    def records_of(self, body: bytes, position: str) -> Sequence[ReadRecord]:
        return kept_records.records_of(body)

    async def close(self) -> None:
        await self._close_file()
        await self._whole.close()

    async def _records(self, state: dict[str, Any], path: str, cursor: Any, limit: int) -> ReceivedRecords:
        """Read records of a file. One that cannot be read is one record with an error, and the next file follows."""
        name = self._shown(path)
        try:
            page = await self._source(path).read(cursor, limit)
        except FileNotFoundError:
            page = Page((), None, end=True)
        except PermanentError as error:
            if not await asyncio.to_thread(Path(path).exists):
                return ReceivedRecords((), {**state, "file": None})
            words = f"The file {name} cannot be read{' on' if cursor else ''}: {error}"
            broken = ReadRecord(name, {"file": name}, RecordError(words, code="unreadable_file"))
            await self._close_file()
            return ReceivedRecords((kept_records.written([broken]),), {**state, "file": None})
        records = [ReadRecord(f"{name} {each.position}", each.data, each.error) for each in page.records]
        going_on = None if page.end else {"path": path, "cursor": page.cursor}
        if page.end:
            await self._close_file()
        messages = (kept_records.written(records),) if records else ()
        return ReceivedRecords(messages, {**state, "file": going_on})

    def _source(self, path: str) -> Source:
        if self._reading is None or self._reading[0] != path:
            self._reading = (path, self._open(self._config.model_copy(update={"source": path}), self._context))
        return self._reading[1]

    async def _close_file(self) -> None:
        if self._reading is not None:
            reading, self._reading = self._reading, None
            await reading[1].close()

    def _next(self, state: dict[str, Any]) -> _Found | float | None:
        """Return the file that was put there first, of those that nobody has taken; None where there is none. No file
        is passed over: one that may still be written to holds back those that came after it. Of such a file the seconds
        are returned after which it may be read, if it is not changed again."""
        least = state["newest"] - _LAG_NS
        settled = time.time_ns() - int(self._settled * 1e9)
        candidates = []
        for path in self._files():
            try:
                there = os.stat(path)  # noqa: PTH116 - thousands of them, a few times a second
            except OSError:
                continue
            found = _Found(path, there.st_ctime_ns, there.st_size, there.st_mtime_ns)
            if found.changed >= least and state["taken"].get(path) != found.version:
                candidates.append(found)
        if not candidates:
            return None
        first = min(candidates, key=lambda each: (each.changed, each.path))
        return first if first.changed <= settled else (first.changed - settled) / 1e9

    def _files(self) -> list[str]:
        if not self._inputs.several():
            raise InvalidDefinition(
                [
                    Problem(
                        ("extract", "source"),
                        f"'{self._config.source}', one file",
                        "in a stream, a folder or a pattern of files: `inbox/*.jsonl`",
                    )
                ]
            )
        try:
            return [each.shown for each in self._inputs.files()]
        except SourceError:  # no file matches yet
            return []

    def _shown(self, path: str) -> str:
        folder = str(self._context.folder)
        return os.path.relpath(path, folder) if path.startswith(folder) else path
