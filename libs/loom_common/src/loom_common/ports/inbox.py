"""Defines the port of the inbox of a pipeline: records that were given to it over HTTP, and that wait there until its
stream has kept them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from loom_common.errors import LoomError


class InboxFull(LoomError):
    """Reports that as many records wait as may."""

    def __init__(self, most: int) -> None:
        self.most = most
        super().__init__(f"As many records wait to be taken as may: {most:,}.")


@dataclass(frozen=True, slots=True)
class InboxRecord:
    """Holds a record as it is kept."""

    id: str
    """Tells the record from all others of the inbox, also where the request that gave it comes again."""
    body: bytes
    digest: str | None = None
    """Is a hash of its key; None where it is not to be known again."""


class Inbox(Protocol):
    """Keeps the records of one pipeline, in the order in which they came. What `add` has returned for outlives this
    process.

    Every method raises `DependencyUnavailable` or `PermanentError` where the store cannot be used."""

    async def add(self, records: Sequence[InboxRecord], *, most: int, window: dt.timedelta) -> Sequence[str]:
        """Add records, all in one transaction, and return for each the id under which it is known: its own, or that of
        another record that came with its key within the `window` before. That one is not added again, and neither is a
        record whose id waits already. Raises `InboxFull`, and adds nothing, where more than `most` would wait."""
        ...

    async def oldest(self, most: int) -> Sequence[InboxRecord]:
        """Return the records that have waited longest."""
        ...

    async def remove(self, ids: Collection[str]) -> None:
        """Remove records that are kept elsewhere now."""
        ...

    async def count(self) -> int:
        """Return how many records wait."""
        ...

    async def close(self) -> None:
        """Close the connections of the store."""
        ...
