"""Defines what a source does for a stream that is to begin at a place which somebody has named."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol, runtime_checkable

from loom_common.domain.values import durations
from loom_common.errors import ConfigurationError
from loom_connectors.ports.source import ReceivingSource

START, END = "start", "end"
_AGO = re.compile(r"^\d+(?:\.\d+)?(?:ms|s|m|h|d)$")


@dataclass(frozen=True, slots=True)
class NamedPlace:
    """Holds a place as somebody has named it."""

    text: str
    now: dt.datetime
    """Says from when it is counted how long ago something was."""

    @property
    def moment(self) -> dt.datetime | None:
        """Return the time that is meant: one in ISO 8601 with its zone, or so long ago; None for anything else."""
        if _AGO.match(self.text):
            try:
                return self.now - dt.timedelta(seconds=durations.seconds(self.text))
            except OverflowError:
                return None
        try:
            found = dt.datetime.fromisoformat(self.text)
        except ValueError:
            return None
        return None if found.tzinfo is None else found.astimezone(dt.UTC)

    def refuse(self, source: str, expected: str, why: str = "") -> NoReturn:
        """Raise `ConfigurationError`: `source` cannot read it, and reads what is `expected`."""
        reason = f": {why}" if why else ""
        raise ConfigurationError(f"'{self.text}' is no place in {source}{reason}. Expected {expected}.")


TIMES = "a time with its zone (2026-11-01T06:00:00Z), how long ago (2h)"


@dataclass(frozen=True, slots=True)
class FoundPlace:
    """Describes a place in a source."""

    state: Any
    """Holds what `receive` goes on from, as JSON values."""
    words: str
    """Says where that is, for people."""
    was: str | None = None
    """Says where the stream was; None where it had read nothing."""
    back: bool = False
    """Tells whether something comes again from there that the stream has read, as far as the source can tell."""
    told_apart: bool = False
    """Tells whether each message has an identity by which it is known when it comes again."""
    recent: bool = False
    """Tells whether all that comes again is certainly younger than identities are remembered."""


@runtime_checkable
class PlacedSource(ReceivingSource, Protocol):
    """Has a past: a stream may begin at any place of it."""

    async def place(self, named: NamedPlace, state: Any) -> FoundPlace:
        """Find a place, from which a stream is to go on that has come to `state`; None for one that has read nothing.
        Nothing is received or changed. Raises `ConfigurationError` for what the source cannot read, and as `check`
        does."""
        ...


def shown(moment: dt.datetime) -> str:
    """Return a time for people, in UTC."""
    words = moment.astimezone(dt.UTC).isoformat(timespec="milliseconds" if moment.microsecond else "seconds")
    return words.replace("+00:00", "Z")
