"""Asks a REST API for what is new, again and again, by requests that wait at the server."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.values import durations
from loom_common.domain.values.fields import Fields
from loom_common.errors import PermanentError, SourceError, TransientError
from loom_common.ports.received_pages import ReceivedMessage
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.kept_records import ReceivedRecords, records_of, written
from loom_connectors.ports.places import END, START, FoundPlace, NamedPlace
from loom_connectors.ports.source import Page, ReadRecord
from loom_connectors.rest.http.options import LongPoll, RestSourceOptions
from loom_connectors.rest.reading.asking import AskedApi, Malformed, fields_of
from loom_connectors.rest.reading.pagination import BadPage, Received, Token, paging

QUIET_SECONDS = 1.0
"""The most that one question waits for a record. The request goes on waiting, and the next question finds it."""
_LOOK_SECONDS = 5.0
"""The most that a look before a run waits for an answer."""
_POLL_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class _News:
    """Holds what an answer had that is new."""

    records: Sequence[ReadRecord]
    after: Token
    """Holds the cursor of the next request."""
    digest: str
    """Holds a hash of the answer."""


@dataclass(slots=True)
class _Request:
    """Represents a request that waits at the server."""

    at: Token
    began: float
    task: asyncio.Task[_News | None] = field(repr=False)


class LongPolledApi:
    """Represents a REST API that lets requests wait as an `AskedSource`.

    The state is the cursor of the last answer that was kept, so that a process which dies before asks again from there.
    All records of an answer are given at once: the answer to a question that is asked again may be another one."""

    def __init__(
        self, config: ExtractConfig, options: RestSourceOptions, poll: LongPoll, context: ConnectorContext
    ) -> None:
        """Raises `ConfigurationError`."""
        waits, limits = durations.seconds(poll.wait), options.timeouts
        patient = limits.model_copy(update={"read": limits.read + waits, "total": limits.total + waits})
        self._api = AskedApi(config, options.model_copy(update={"timeouts": patient}), context)
        self._paging = paging(options)
        self._poll = poll
        self._wait = _counted(waits, poll)
        self._clock = context.clock
        self._pace = context.pace
        pause = None if context.pace is None else context.pace.poll_seconds
        self.poll_seconds = _POLL_SECONDS if pause is None else pause
        query = urlencode(self._api.open_query)
        self.origin = f"{self._api.place}?{query}" if query else self._api.place
        self.remembered_seconds = durations.seconds(poll.dedup_window)
        self._waiting: _Request | None = None
        self._next_at = self._clock.monotonic()
        self._refused: TransientError | None = None
        self._last = ""

    async def check(self) -> None:
        await self._look()

    async def count(self) -> int | None:
        """Return None: records may come."""
        return None

    async def fields(self) -> Fields | None:
        return fields_of(await self._look())

    async def read(self, cursor: Any, limit: int) -> Page:
        """Look at the first records."""
        return Page((await self._look())[:limit], None, end=True)

    async def receive(self, state: Any, limit: int) -> ReceivedRecords:
        """Give the records of the next answer, and of those that come within `batch.wait` of it. Waits for an answer
        for a second, and leaves the request at the server."""
        at, number = (None, 0) if state is None else (state["at"], state["answer"])
        ends = self._clock.monotonic() + QUIET_SECONDS
        messages: list[ReceivedMessage] = []
        while True:
            try:
                news = await self._news(at, ends)
            except TransientError:
                if not messages:
                    raise
                break
            if news is None:
                break
            if news.records and not messages:
                ends = self._clock.monotonic() + (0.0 if self._pace is None else self._pace.wait_seconds)
            number += bool(news.records)
            messages += self._messages(news.records, number)
            at = news.after
            if self._pace is None or len(messages) >= min(limit, self._pace.size):
                break
        after = None if state is None and not messages and at is None else {"at": at, "answer": number}
        return ReceivedRecords(messages, after, end=self._pace is None)

    async def place(self, named: NamedPlace, state: Any) -> FoundPlace:
        """Find the place of a cursor, by asking for what follows it. Cursors have no order: what comes after another
        one may have come before."""
        before = None if state is None else state["at"]
        was = None if state is None else f"the cursor {before}" if before is not None else "its beginning"
        number = 0 if state is None else state["answer"]
        told_apart = self._poll.id_field is not None
        if named.text == START:
            begun = {"at": None, "answer": number}
            return FoundPlace(begun, "its beginning", was, back=state is not None, told_apart=told_apart)
        expected = f"a cursor as the API gives it, or `{START}`"
        if named.text == END:
            named.refuse(self._api.place, expected, "an API tells its cursor with what comes, and none before")
        token: Token = int(named.text) if isinstance(before, int) and named.text.isdecimal() else named.text
        if self._paging.asked(token).link is not None:
            named.refuse(self._api.place, f"`{START}`", "its cursors are addresses that it gives itself")
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                await self._answered(token, 0)
        except TimeoutError:  # a server that lets the request wait has understood it
            pass
        except Malformed as malformed:
            named.refuse(self._api.place, expected, str(malformed.lasting).rstrip("."))
        except (PermanentError, ValueError) as error:
            named.refuse(self._api.place, expected, str(error).rstrip("."))
        back = state is not None and token != before
        return FoundPlace({"at": token, "answer": number}, f"the cursor {token}", was, back=back, told_apart=told_apart)

    def records_of(self, body: bytes, position: str) -> Sequence[ReadRecord]:
        return records_of(body)

    async def close(self) -> None:
        await self._give_up()
        await self._api.close()

    def _messages(self, records: Sequence[ReadRecord], number: int) -> Iterator[ReceivedMessage]:
        """Yield records as they are kept; `number` is that of their answer. One without an identity is always taken."""
        name = self._poll.id_field
        for place, each in enumerate(records, start=1):
            value = None if name is None or each.error is not None else each.data.get(name)
            identity = f"{name}={value}" if isinstance(value, str | int | float) and value != "" else None
            yield written([ReadRecord(f"answer {number} item {place}", each.data, each.error)], identity)

    async def _news(self, at: Token, ends: float) -> _News | None:
        """Return what the next answer has that is new; None where nothing new came until then. Raises what the server
        asks to wait for, until that time has come."""
        if (request := await self._asked(at, ends)) is None:
            return None
        await asyncio.wait({request.task}, timeout=max(0.0, ends - self._clock.monotonic()))
        if not request.task.done():
            return None
        if self._waiting is request:
            self._waiting = None
        try:
            news = request.task.result()
        except TransientError as error:
            if error.retry_after is not None:
                self._refused, self._next_at = error, self._clock.monotonic() + error.retry_after
            raise
        if news is None or news.digest == self._last:
            self._next_at = request.began + self.poll_seconds
            return None
        stays = news.after == at
        if stays and news.records and self._poll.id_field is None:
            raise SourceError(
                f"{self._api.place}: an answer has records, and no cursor other than that of its request, so that the "
                "next one has them again. See `options.pagination`, or name the field that tells records apart in "
                "`options.long_poll.id_field`."
            )
        self._last = news.digest if stays else ""
        if stays or not news.records:
            self._next_at = request.began + self.poll_seconds
        return None if stays and not news.records else news

    async def _asked(self, at: Token, ends: float) -> _Request | None:
        """Return the request for what follows `at`, which may have waited for a while; None where none may be sent
        until then."""
        if self._waiting is not None and self._waiting.at != at:  # the stream has gone on without this process
            await self._give_up()
        if self._waiting is None:
            pause = self._next_at - self._clock.monotonic()
            if pause > 0 and self._refused is not None:
                raise type(self._refused)(str(self._refused), retry_after=pause)
            if pause > 0:
                await self._clock.sleep(max(0.0, min(pause, ends - self._clock.monotonic())))
            if self._clock.monotonic() < self._next_at:
                return None
            self._refused = None
            self._waiting = _Request(at, self._clock.monotonic(), asyncio.create_task(self._answered(at, self._wait)))
        return self._waiting

    async def _answered(self, at: Token, wait: int) -> _News | None:
        """Return what one request brings; None where that is nothing."""
        asked = self._paging.asked(at)
        if self._poll.wait_param is not None:
            asked = asked.also(self._poll.wait_param, str(wait))
        found = await self._api.ask_for_news(asked)
        if found is None:
            return None
        answer, document = found
        records = await self._api.records_beside(document, "answer", len(answer.body))
        try:
            token = self._paging.after(at, Received(document, len(records), 0, answer.links, answer.headers))
        except BadPage as bad:
            raise SourceError(f"{self._api.place}: {bad}. See `options.pagination`.") from None
        if isinstance(token, str) and self._paging.asked(token).link is not None:
            token = await self._api.client.stored(token)
        digest = hashlib.sha256(answer.body).hexdigest()
        return _News(records, at if token is None else token, digest)

    async def _look(self) -> Sequence[ReadRecord]:
        """Return the records that are there. A server that lets the request wait is there."""
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                news = await self._answered(None, 0)
        except TimeoutError:
            return ()
        except Malformed as malformed:
            raise malformed.lasting from None
        return () if news is None else news.records

    async def _give_up(self) -> None:
        """Ask no longer for what nobody waits for."""
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            waiting.task.cancel()
            await asyncio.gather(waiting.task, return_exceptions=True)


def _counted(seconds: float, poll: LongPoll) -> int:
    return round(seconds * 1000 if poll.wait_unit == "milliseconds" else seconds)
