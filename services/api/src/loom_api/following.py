"""Tells those who follow a run how it goes, from run state, until it has ended. All who follow one run here share one
query."""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson

from loom_api.reads import Reads
from loom_common.domain.json_values.shown import as_json
from loom_common.errors import TransientError
from loom_coordinator.db.run_rows import TERMINAL
from loom_coordinator.db.unit_of_work import trouble_told

LOOK_SECONDS = 0.5
"""Says how often a run is looked at."""
HEARTBEAT_SECONDS = 15.0
"""Says after how long without news a stream says that it is alive."""
_OF_THE_CLOCK = ("seconds", "records_per_second", "eta_seconds")
"""Fields that change although nothing has happened."""


@dataclass(frozen=True, slots=True)
class News:
    """Describes how a run stands."""

    id: str
    """Differs for each state of the run, and is the same from every replica."""
    status: str
    ended: bool
    document: dict[str, Any]
    """The metrics of the run; its report where it has ended."""

    def event(self, before: News | None) -> bytes:
        """Write the news as a server-sent event, for somebody who was told what was `before`."""
        changed = before is not None and before.status != self.status
        name = "finished" if self.ended else "status" if changed else "progress"
        return b"event: %s\nid: %s\ndata: %s\n\n" % (
            name.encode(),
            self.id.encode(),
            orjson.dumps(self.document, option=orjson.OPT_NON_STR_KEYS),
        )


Look = Callable[[str], Awaitable[News]]


class _Watch:
    """Looks at one run as long as somebody follows it."""

    def __init__(self, look: Look, run_id: str, first: News) -> None:
        self._look_at = look
        self._run_id = run_id
        self.news = first
        self.followers = 0
        self._changed = asyncio.Event()
        self.looking = asyncio.create_task(self._look())
        """Ends with the run, or where the run cannot be looked at any more."""

    async def after(self, told: News) -> News:
        """Return how the run stands, once that is another than what was told."""
        while self.news.id == told.id:
            changed = self._changed
            await changed.wait()
        return self.news

    async def _look(self) -> None:
        while not self.news.ended:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                news = await self._look_at(self._run_id)
            except TransientError:
                continue  # the database is away; the next look may find it again
            if news.id != self.news.id:
                self.news = news
                self._changed.set()
                self._changed = asyncio.Event()


class Following:
    """Gives streams of events."""

    def __init__(self, look: Look) -> None:
        """`look` tells how a run stands, and raises `NotFound`."""
        self._look = look
        self._watches: dict[str, _Watch] = {}

    async def news(self, run_id: str) -> News:
        """Tell how a run stands now. Raises `NotFound`."""
        watch = self._watches.get(run_id)
        return watch.news if watch else await self._look(run_id)

    async def stream(self, run_id: str, first: News, seen: str | None, stop: asyncio.Event) -> AsyncIterator[bytes]:
        """Yield server-sent events until the run has ended, or `stop` is set. What the client has `seen` already, by
        the id of the last event that it got, is not told again."""
        stopping = asyncio.create_task(stop.wait())
        try:
            with self._watch(run_id, first) as watch:
                told = watch.news
                if told.id != seen:
                    yield told.event(None)
                while not told.ended and not stop.is_set():
                    following = asyncio.create_task(watch.after(told))
                    awaited = {following, watch.looking, stopping}
                    await asyncio.wait(awaited, timeout=HEARTBEAT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                    if watch.news.id != told.id:
                        before, told = told, watch.news
                        yield told.event(before)
                    elif watch.looking.done():
                        return
                    else:
                        yield b": \n\n"
                    following.cancel()
        finally:
            stopping.cancel()

    async def ended(self, run_id: str, seconds: float) -> News | None:
        """Return the end of a run; None where it has not ended after so many seconds. Raises `NotFound`."""
        first = await self.news(run_id)
        with self._watch(run_id, first) as watch:
            try:
                async with asyncio.timeout(seconds):
                    while not watch.news.ended:
                        await watch.after(watch.news)
            except TimeoutError:
                return None
            return watch.news

    @contextmanager
    def _watch(self, run_id: str, first: News) -> Iterator[_Watch]:
        watch = self._watches.get(run_id)
        if watch is None:
            watch = self._watches[run_id] = _Watch(self._look, run_id, first)
        watch.followers += 1
        try:
            yield watch
        finally:
            watch.followers -= 1
            if not watch.followers:
                watch.looking.cancel()
                del self._watches[run_id]


async def news_of(reads: Reads, run_id: str) -> News:
    """Tell how a run stands. Raises `NotFound`, and `DependencyUnavailable` where the state database is away."""
    with trouble_told(reads.engine.url):
        run = await reads.known(run_id)
        now = dt.datetime.now(dt.UTC)
        ended = run.status in TERMINAL and (run.tell_by is None or run.tell_by < now)
        shown = await reads.shown_run(run_id) if ended else await reads.run_details(run_id)
        status = await reads.status(run_id) or run.status
    document = {**shown.as_json(), "status": status}
    standing = {name: value for name, value in document.items() if name not in _OF_THE_CLOCK}
    said = orjson.dumps(as_json(standing), option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
    return News(hashlib.blake2b(said, digest_size=8).hexdigest(), status, ended, as_json(document))
