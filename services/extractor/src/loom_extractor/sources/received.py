"""Lets slices be read from a source that gives each record once: what a run takes from a queue is kept first,
acknowledged then, and read from where it is kept, as often as is needed."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from loom_common.domain.values.fields import Fields
from loom_common.errors import LoomError
from loom_common.logs.logger import log
from loom_common.ports.clock import Clock
from loom_common.ports.received_pages import ReceivedPage, ReceivedPages
from loom_common.resilience import failpoints
from loom_common.sealing.keyring import Keyring
from loom_common.sealing.received_pages import SealedPages
from loom_connectors.ports.source import AcknowledgedSource, CountingSource, Page, ReadRecord, ReceivingSource

_FORGET_EVERY = dt.timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class _Place:
    """Says where reading stands: before a record of a page."""

    page: int
    record: int
    state: Any
    again: int = 0
    """Tells the last time that somebody had what was taken be taken again; 0 where nobody has."""

    @staticmethod
    def of(cursor: Any) -> _Place:
        if cursor is None:
            return _Place(0, 0, None)
        return _Place(cursor["page"], cursor["record"], cursor["state"], cursor.get("again", 0))

    @property
    def cursor(self) -> dict[str, Any]:
        found = {"page": self.page, "record": self.record, "state": self.state}
        return {**found, "again": self.again} if self.again else found

    def on(self, records: int) -> _Place:
        """Return the place so many records on in the same page."""
        return replace(self, record=self.record + records)

    def after(self, state: Any) -> _Place:
        """Return the place after the page, at which the source is in this state."""
        return replace(self, page=self.page + 1, record=0, state=state)


class RunsReceivedRecords:
    """Represents what one run takes from a source, as a `Source` that can be read from every cursor.

    A message is acknowledged once its page is kept. A process that dies in between leaves the message to be delivered
    again, and whoever receives it finds its identity kept, and acknowledges it without keeping it twice. Nobody may
    receive it any more, because the run takes no more. So whoever finds the newest page kept by somebody else has its
    messages acknowledged, before what was read of it is answered.

    Who is asked late, for a page that the others have left behind and forgotten, leaves the source alone: it would take
    messages that nobody waits for, and a stream that once began elsewhere would begin there again."""

    def __init__(
        self,
        source: ReceivingSource,
        pages: ReceivedPages,
        run_id: str,
        *,
        taking: bool,
        trial: bool,
        endless: bool = False,
        closing: bool = False,
        at_once: int | None = None,
    ) -> None:
        """`taking` is whether more may be received than is kept. A `trial` takes one page, and gives its messages
        back. An `endless` source has no last page: where it gives nothing now, nothing is kept, and nothing is
        returned. `run_id` is then that of its stream, whose windows read one after the other.
        Where it is `closing`, nothing more is taken: an empty page says so, and whoever reads at the same place later
        finds it, or the records that somebody else has kept there in the meantime. `at_once` is how many messages are
        received at most, where that is fewer than records are read."""
        self._at_once = at_once
        self._endless = endless
        self._closing = closing
        self._source = source
        self._pages = pages
        self._run_id = run_id
        self._taking = taking
        self._trial = trial
        self._settled: set[int] = set()
        """Holds the pages whose messages nobody has to acknowledge any more."""

    async def check(self) -> None:
        await self._source.check()

    async def count(self) -> int | None:
        return await self._source.count()

    async def fields(self) -> Fields | None:
        return await self._source.fields()

    async def close(self) -> None:
        """Do nothing: who opened the source closes it."""

    async def read(self, cursor: Any, limit: int) -> Page:
        """Read what is kept; receive, and keep, what follows the last page."""
        place = _Place.of(cursor)
        known = 0
        while True:
            page = await self._pages.page(self._run_id, place.page)
            if page is None and self._taking:
                page = await self._received(place, limit)
            if page is None or page.forgotten:
                return Page((), place.cursor, end=not (self._endless and self._taking))
            if self._taking and not place.record:
                await self._settle(place.page, page)
            records = self._records_of(page, place.page)
            known += 0 if place.record else page.known
            found = records[place.record : place.record + limit]
            rest = len(records) - place.record - len(found)
            if found or page.end:
                break
            place = self._after(place, page)
            if self._endless:
                return Page((), place.cursor, end=False, known=known)
        after = place.on(len(found)) if rest or page.end else self._after(place, page)
        return Page(found, after.cursor, end=page.end and not rest, known=known)

    def _after(self, place: _Place, page: ReceivedPage) -> _Place:
        """Return the place after a page. Where a run ends after a number of messages, those that are given to it again
        do not count."""
        if page.known and not self._endless and isinstance(self._source, CountingSource):
            return place.after(self._source.recounted(page.state, page.known))
        return place.after(page.state)

    def _records_of(self, page: ReceivedPage, number: int) -> list[ReadRecord]:
        found: list[ReadRecord] = []
        for at, body in enumerate(page.bodies):
            found += self._source.records_of(body, f"message {number + 1}.{at + 1}")
        return found

    async def _settle(self, number: int, page: ReceivedPage) -> None:
        """Have the messages of a page acknowledged that somebody else has kept, who may have died before. Whoever keeps
        a page has acknowledged that before it, or found it so. Where the source cannot be reached, what is kept is read
        all the same: its messages are known where they are delivered again."""
        empty = not page.bodies and not page.known
        if self._trial or empty or number in self._settled or not isinstance(self._source, AcknowledgedSource):
            return
        self._settled.add(number)
        if await self._pages.page(self._run_id, number + 1) is not None:
            return
        try:
            await self._source.acknowledge_kept(page)
        except LoomError as error:
            log.warning("kept messages are not acknowledged again", run_id=self._run_id, reason=str(error))

    async def _received(self, place: _Place, limit: int) -> ReceivedPage | None:
        """Receive a page and keep it. Where another process has kept a page in its place meanwhile, that one counts.
        Return None where an endless source gives nothing now."""
        if self._closing:
            page = await self._pages.keep(self._run_id, place.page, None, (), place.state, end=False)
            return page or await self._pages.page(self._run_id, place.page)
        received = await self._source.receive(place.state, min(limit, self._at_once or limit))
        if self._endless and not received.messages and received.state == place.state:
            await received.give_back()
            return None
        try:
            origin = None if self._trial else self._source.origin
            page = await self._pages.keep(
                self._run_id,
                place.page,
                origin,
                received.messages,
                received.state,
                end=(received.end and not self._endless) or self._trial,
                again=place.again,
            )
        except BaseException:
            await received.give_back()
            raise
        if page is None or self._trial:
            await received.give_back()
        else:
            await failpoints.reach("before_source_ack")
            await received.acknowledge()
            self._settled.add(place.page)
            if again := len(received.messages) - len(page.bodies):
                log.info("messages that were delivered again are left out", run_id=self._run_id, messages=again)
        if page is not None:
            return page
        return await self._pages.page(self._run_id, place.page)


class ReceivedRecords:
    """Gives each run its view of a source, and opens the store of what is received when a plan first needs it."""

    def __init__(self, open_pages: Callable[[], ReceivedPages], clock: Clock, keyring: Keyring) -> None:
        """`keyring` encrypts what is kept for pipelines with sensitive fields."""
        self._keyring = keyring
        self._open_pages = open_pages
        self._clock = clock
        self._pages: ReceivedPages | None = None
        self._forgotten: dict[str, dt.datetime] = {}
        """Says when the identities of a source were looked through."""

    async def of(
        self,
        source: ReceivingSource,
        run_id: str,
        *,
        first: bool,
        taking: bool,
        trial: bool,
        endless: bool = False,
        closing: bool = False,
        at_once: int | None = None,
        sealed_for: str | None = None,
    ) -> RunsReceivedRecords:
        """Return what a run takes from a source. It is kept encrypted where `sealed_for` names a pipeline. At its
        `first` slice, and now and then where it is `endless`, the identities of messages are forgotten that are older
        than the source says."""
        if self._pages is None:
            self._pages = self._open_pages()
        if taking and not trial and (first or (endless and self._is_due(source.origin))):
            age = dt.timedelta(seconds=source.remembered_seconds)
            self._forgotten[source.origin] = self._clock.now()
            await self._pages.forget_identities(source.origin, self._clock.now() - age)
        pages = self._pages if sealed_for is None else SealedPages(self._pages, self._keyring, sealed_for)
        return RunsReceivedRecords(
            source, pages, run_id, taking=taking, trial=trial, endless=endless, closing=closing, at_once=at_once
        )

    def _is_due(self, origin: str) -> bool:
        """Tell whether a stream's identities are to be looked through again."""
        last = self._forgotten.get(origin)
        return last is None or self._clock.now() - last >= _FORGET_EVERY

    @asynccontextmanager
    async def closing(self) -> AsyncIterator[None]:
        """Close the store at the end of the block."""
        try:
            yield
        finally:
            if self._pages is not None:
                await self._pages.close()
