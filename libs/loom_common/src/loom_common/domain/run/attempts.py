"""Describes the attempt at a message that a handler is making."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Attempt:
    """Describes the attempt that is under way."""

    number: int = 1
    """The 1-based number of the attempt. Retries after a delay are counted, redeliveries are not."""
    last: bool = False
    """Tells whether this is the last attempt: records that still fail with a transient error are quarantined."""
    redelivered: int = 0
    """Says how often it was delivered before and not acknowledged, where the broker counts."""
