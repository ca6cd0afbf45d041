"""Takes the records that wait in the inbox of a pipeline, and removes them once they are kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from loom_common.domain.definition.streams.settings import Pace
from loom_common.domain.values import durations
from loom_common.domain.values.fields import Fields
from loom_common.errors import LoomError
from loom_common.ports.clock import Clock
from loom_common.ports.inbox import Inbox, InboxRecord
from loom_common.ports.received_pages import ReceivedMessage
from loom_connectors.inbox import bodies
from loom_connectors.inbox.options import InboxOptions
from loom_connectors.ports.source import Page, ReadRecord

QUIET_SECONDS = 1.0
"""The most that is waited for a record before whoever asks looks whether to ask again."""
_LOOK_SECONDS = 0.05
"""The pause between two looks at an inbox."""


class ReceivedRecords:
    """Holds records that wait until they are kept elsewhere."""

    def __init__(self, records: Sequence[InboxRecord], state: Any, inbox: Inbox | None, *, end: bool) -> None:
        self.messages = [ReceivedMessage(each.body, each.id) for each in records]
        self.state = state
        self.end = end
        self._inbox = inbox

    async def acknowledge(self) -> None:
        """Remove the records. Where the store is away meanwhile, they are received again, and known by their ids."""
        if self._inbox is not None and self.messages:
            try:
                await self._inbox.remove([each.identity for each in self.messages if each.identity is not None])
            except LoomError:
                return

    async def give_back(self) -> None:
        """Do nothing: the records wait."""


class InboxSource:
    """Represents an inbox as a `ReceivingSource`."""

    def __init__(
        self,
        location: str,
        inbox: Inbox | None,
        options: InboxOptions,
        clock: Clock,
        pace: Pace | None,
        *,
        looks: bool,
    ) -> None:
        """`inbox` is None before a run: nobody reads it then. One that only `looks` removes nothing."""
        self._inbox = inbox
        self._options = options
        self._clock = clock
        self._pace = pace
        self._looks = looks
        self.origin = location
        self.remembered_seconds = durations.seconds("2d")  # longer than an `Idempotency-Key` is known

    async def check(self) -> None:
        """Do nothing: the inbox lies beside Loom's own tables."""

    async def count(self) -> int | None:
        return None if self._inbox is None else await self._inbox.count()

    async def fields(self) -> Fields | None:
        """Return None: only a run takes records."""
        return None

    async def read(self, cursor: Any, limit: int) -> Page:
        """Look at the first records, and leave them there."""
        found = await self._oldest(limit)
        return Page([bodies.read(each.body) for each in found], None, end=True)

    async def receive(self, state: Any, limit: int) -> ReceivedRecords:
        most = min(limit, self._options.prefetch)
        if self._looks or self._pace is None:
            found = await self._oldest(most)
            return ReceivedRecords(found, state, None if self._looks else self._inbox, end=len(found) < most)
        return ReceivedRecords(await self._as_they_come(most, self._pace), state, self._inbox, end=False)

    def records_of(self, body: bytes, position: str) -> Sequence[ReadRecord]:
        return [bodies.read(body)]

    async def close(self) -> None:
        if self._inbox is not None:
            await self._inbox.close()

    async def _as_they_come(self, most: int, pace: Pace) -> Sequence[InboxRecord]:
        """Wait for a record, and then for those that come within `batch.wait` of it; where as many are there as a batch
        has, only for those that are there already."""
        ends = self._clock.monotonic() + QUIET_SECONDS
        enough = 1
        while True:
            found = await self._oldest(most)
            if found and enough == 1:
                enough, ends = min(most, pace.size), self._clock.monotonic() + pace.wait_seconds
            left = ends - self._clock.monotonic()
            if len(found) >= enough or left <= 0:
                return found
            await self._clock.sleep(min(_LOOK_SECONDS, left))

    async def _oldest(self, most: int) -> Sequence[InboxRecord]:
        return [] if self._inbox is None else await self._inbox.oldest(most)
