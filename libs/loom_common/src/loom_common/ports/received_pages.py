"""Defines the port of the messages that runs have taken from queues, where they are kept until their run has
succeeded: a queue gives a message once, and a slice may be read again."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class ReceivedMessage:
    """Holds a message as its source encoded it."""

    body: bytes
    identity: str | None = None
    """Tells the message from all others of its source, also when it is delivered again; None where nothing does."""


@dataclass(frozen=True, slots=True)
class ReceivedPage:
    """Holds the messages that a run has taken at once, without those that are kept already."""

    bodies: Sequence[bytes]
    state: Any
    """JSON: what the source has to know to receive the next page."""
    end: bool
    """Tells whether the run takes no more."""
    known: int = 0
    """The number of messages that came beside them and were left out, because they are kept already."""
    forgotten: bool = False
    """Tells that there was a page here, which is not there any more. It has no messages then."""


class ReceivedPages(Protocol):
    """Keeps pages of messages. What `keep` has returned outlives this process.

    Every method raises `DependencyUnavailable` or `PermanentError` where the store cannot be used."""

    async def page(self, run_id: str, number: int) -> ReceivedPage | None:
        """Return a page of a run; None where it has not been received. In the place of one that was there it is said to
        be `forgotten`."""
        ...

    async def keep(
        self,
        run_id: str,
        number: int,
        source: str | None,
        messages: Sequence[ReceivedMessage],
        state: Any,
        *,
        end: bool,
        again: int = 0,
    ) -> ReceivedPage | None:
        """Keep a page, in one transaction with the identities of its messages, and return it. Messages whose identity
        any run has kept of this `source` are left out; where `source` is None, none is. With a number other than 0
        those alone are that were kept with this number or a higher one: the others are taken `again`, once. Return
        None, and change nothing, where the run has a page of this number, or had one."""
        ...

    async def forget_identities(self, source: str, before: dt.datetime) -> None:
        """Forget the identities of messages of a source that were kept before this time."""
        ...

    async def runs(self) -> Sequence[str]:
        """Return the runs that have pages here."""
        ...

    async def forget(self, run_ids: Collection[str]) -> None:
        """Delete the pages of these runs, which are over. The identities of their messages stay; and for some days it
        is known that the pages were there, so that nobody takes messages for such a run who hears of it late."""
        ...

    async def forget_before(self, run_id: str, number: int) -> None:
        """Delete the pages of a run, or of a stream, whose number is below this one. The newest one stays, as a mark
        that those before it were there."""
        ...

    async def close(self) -> None:
        """Close the connections of the store."""
        ...
