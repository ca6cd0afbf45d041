"""Takes the entries of a Redis stream, and gives them to be kept before they are acknowledged."""

from __future__ import annotations

import math
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from uuid import uuid4

from loom_common.domain.definition.streams.settings import Pace
from loom_common.domain.values import durations
from loom_common.domain.values.fields import Fields
from loom_common.errors import LoomError
from loom_common.ports.clock import Clock
from loom_common.ports.received_pages import ReceivedMessage, ReceivedPage
from loom_connectors.ports import places
from loom_connectors.ports.places import FoundPlace, NamedPlace
from loom_connectors.ports.source import Page, ReadRecord
from loom_connectors.redis_streams.address import Address
from loom_connectors.redis_streams.entries import Entry, identity_of, record_of
from loom_connectors.redis_streams.group import BEGINNING, END, Group
from loom_connectors.redis_streams.options import RedisStreamOptions
from loom_connectors.redis_streams.server import Server

QUIET_SECONDS = 1.0
"""The most that is waited for an entry before whoever asks looks whether to ask again."""
_SHORTEST_SECONDS = 0.001
"""The least that the server can be asked to wait."""

_ENTRY = re.compile(r"(\d{1,15})(?:-(\d{1,19}))?")
_LAST_NUMBER = 2**64 - 1

Answer = Callable[[Sequence[str]], Awaitable[None]]


class ReceivedEntries:
    """Holds entries that the group has not acknowledged."""

    def __init__(
        self,
        entries: Sequence[Entry],
        options: RedisStreamOptions,
        state: Any,
        *,
        end: bool = False,
        acknowledge: Answer | None = None,
        give_back: Answer | None = None,
    ) -> None:
        self.messages = [ReceivedMessage(each.encoded(), identity_of(each, options)) for each in entries]
        self.state = state
        self.end = end
        self._names = [each.id for each in entries]
        self._acknowledge = acknowledge
        self._give_back = give_back

    async def acknowledge(self) -> None:
        if self._acknowledge is not None:
            await self._acknowledge(self._names)

    async def give_back(self) -> None:
        if self._give_back is not None:
            await self._give_back(self._names)


class RedisStreamSource:
    """Represents a Redis stream as a `ReceivingSource`."""

    def __init__(
        self,
        address: Address,
        options: RedisStreamOptions,
        clock: Clock,
        *,
        pace: Pace | None = None,
        reader: str | None = None,
        looks: bool = False,
    ) -> None:
        """`pace` is given where no number of entries ends it. `reader` names whoever goes on with what a process was
        given that died: the consumer of a stream, and those of its runs by the beginning of their names. Where it is
        None, nobody goes on with what this object was given. One that only `looks` takes nothing."""
        self._server = Server(address)
        self._options = options
        self._clock = clock
        self._pace = pace
        self._looks = looks
        self._stays = reader is not None and pace is not None
        self._reader = f"{reader or 'loom'}-"
        self._is_followed = reader is not None and pace is None
        self._joined = False
        self._group = Group(
            self._server,
            address.stream,
            address.group,
            reader if reader is not None and pace is not None else f"{self._reader}{uuid4().hex[:12]}",
            BEGINNING if options.start == "beginning" else END,
            max(1, round(durations.seconds(options.claim_after) * 1000)),
        )
        place = address.shown.partition("://")[2]
        self.origin = f"{place}?stream={address.stream}&group={address.group}"
        self.remembered_seconds = durations.seconds(options.dedup_window)

    async def check(self) -> None:
        await self.count()

    async def count(self) -> int | None:
        async with self._server.trouble():
            return await self._group.count()

    async def fields(self) -> Fields | None:
        """Return None: only a run takes entries."""
        return None

    async def read(self, cursor: Any, limit: int) -> Page:
        """Look at the first entries, and leave them there."""
        async with self._server.trouble():
            found = await self._group.first(limit)
        return Page([record_of(each, self._options) for each in found], None, end=True)

    async def receive(self, state: Any, limit: int) -> ReceivedEntries:
        most = min(limit, self._options.prefetch)
        async with self._server.trouble():
            if self._looks:
                return ReceivedEntries(await self._group.first(most), self._options, state, end=True)
            self._joined = True
            if self._pace is not None:
                if state is not None and (before := state.get("begin")) is not None:
                    # It may be done again: what was given meanwhile is not acknowledged, and comes first.
                    await self._group.begin_after(before)
                    state = {"began": before}
                return self._received(await self._as_they_come(most, self._pace), state)
            return await self._those_there(state or {"until": await self._group.newest()}, most)

    async def acknowledge_kept(self, page: ReceivedPage) -> None:
        async with self._server.trouble():
            await self._group.acknowledge([Entry.decoded(each).id for each in page.bodies])

    async def place(self, named: NamedPlace, state: Any) -> FoundPlace:
        async with self._server.trouble():
            last = await self._group.last_given()
            before = await self._before(named)
        return FoundPlace(
            {"begin": before},
            f"the entry after {before}" if before != BEGINNING else "the first entry",
            None if last is None else f"the entry after {last}",
            back=last is not None and _place(before) < _place(last),
            told_apart=True,
            recent=_place(before)[0] >= (named.now.timestamp() - self.remembered_seconds) * 1000,
        )

    async def _before(self, named: NamedPlace) -> str:
        """Return the id of an entry after which what somebody has named begins; there may be no entry of it."""
        if named.text == places.START:
            return BEGINNING
        if named.text == places.END:
            return await self._group.newest()
        if (moment := named.moment) is not None:
            first = (max(0, math.ceil(moment.timestamp() * 1000)), 0)
        elif (found := _ENTRY.fullmatch(named.text)) is not None:
            first = (int(found[1]), int(found[2] or 0))
        else:
            expected = f"{places.TIMES}, the id of an entry (1762000000000-0), `start` or `end`"
            named.refuse(f"the Redis stream of {self._server.shown}", expected)
        milliseconds, number = first
        if number:
            return f"{milliseconds}-{number - 1}"
        return f"{milliseconds - 1}-{_LAST_NUMBER}" if milliseconds else BEGINNING

    def records_of(self, body: bytes, position: str) -> Sequence[ReadRecord]:
        return [record_of(Entry.decoded(body), self._options)]

    async def close(self) -> None:
        try:
            if self._joined and not self._stays:
                async with self._server.trouble():
                    await self._group.leave()
        except LoomError:  # a consumer that holds nothing costs nothing
            pass
        finally:
            await self._server.close()

    async def _as_they_come(self, most: int, pace: Pace) -> list[Entry]:
        """Wait for an entry, and then for those that come within `batch.wait` of it; where as many are there as a batch
        has, only for those that are there already."""
        if found := await self._group.left(most):
            return found
        found = await self._group.new(most, QUIET_SECONDS)
        ends = self._clock.monotonic() + pace.wait_seconds
        while found and len(found) < min(most, pace.size):
            left = ends - self._clock.monotonic()
            if left < _SHORTEST_SECONDS:
                break
            found += await self._group.new(most - len(found), left)
        return found

    async def _those_there(self, state: Any, most: int) -> ReceivedEntries:
        """Take what stood in the stream when the run began, first what was given to one who died and had not kept
        it."""
        if self._is_followed:
            await self._group.take_over(self._reader, state["until"])
        if found := await self._group.left(most):
            return self._received(found, state)
        found = await self._group.new(most, 0)
        end = len(found) < most or _place(found[-1].id) >= _place(state["until"])
        return self._received(found, state, end=end)

    def _received(self, entries: Sequence[Entry], state: Any, *, end: bool = False) -> ReceivedEntries:
        return ReceivedEntries(
            entries, self._options, state, end=end, acknowledge=self._acknowledge, give_back=self._give_back
        )

    async def _acknowledge(self, names: Sequence[str]) -> None:
        """Have the group forget entries. Where the server is away meanwhile, they are given again."""
        try:
            async with self._server.trouble():
                await self._group.acknowledge(names)
        except LoomError:
            return

    async def _give_back(self, names: Sequence[str]) -> None:
        """Let others take the entries. Where the server is away, they do so after `claim_after`."""
        try:
            async with self._server.trouble():
                await self._group.give_back(names)
        except LoomError:
            return


def _place(name: str) -> tuple[int, int]:
    """Return the place of an entry among others."""
    milliseconds, _, number = name.partition("-")
    return int(milliseconds), int(number or 0)
