"""What a handler may know of how often its message was tried."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Attempt:
    """The attempt that is under way."""

    number: int = 1
    """1-based: how often the message came, its waits on the retry ladder counted, its redeliveries not."""
    last: bool = False
    """Whether transient trouble ends it: what cannot be done now is kept in quarantine."""
    redelivered: int = 0
    """How often it was delivered before and not acknowledged, where the broker counts."""
