"""Implements a limit per minute that holds in every minute, kept as one number: until when the next ones are taken.
Pure.

This is the generic cell rate algorithm: each request is given a moment, moments lie evenly apart, and `burst` of them
may be taken at once after a quiet time. In any `WINDOW_SECONDS` at most `burst + rate * WINDOW_SECONDS` moments lie,
and the rate is chosen so that this is the limit. `SLACK_SECONDS` is what requests may drift between their moment and
their arrival."""

from __future__ import annotations

from dataclasses import dataclass

WINDOW_SECONDS = 60.0
SLACK_SECONDS = 2.0
_BURST_SHARE = 30
"""The burst is a thirtieth of the limit, two seconds' worth."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Allows so much in any sixty seconds."""

    per_minute: int

    @property
    def burst(self) -> float:
        """Return what may be taken at once after a quiet time; never less than one."""
        return max(1.0, self.per_minute / _BURST_SHARE)

    @property
    def interval(self) -> float:
        """Return the seconds between two."""
        if self.per_minute == 1:
            return WINDOW_SECONDS + SLACK_SECONDS
        return (WINDOW_SECONDS + SLACK_SECONDS) / (self.per_minute - self.burst)

    @property
    def tolerance(self) -> float:
        """Return the seconds that a request may come before its even share of the time."""
        return self.interval * (self.burst - 1)


@dataclass(frozen=True, slots=True)
class Wish:
    """Asks a bucket for some seconds of its time."""

    requests: float
    tokens: float


@dataclass(frozen=True, slots=True)
class Taken:
    """Holds a bucket as it was when something was taken from it. Its seconds are those of the clock of the process or
    server that keeps it."""

    now: float
    requests_from: float
    """Says until when the time is taken by earlier requests; never before `now`, nor before the end of a pause."""
    tokens_from: float
    """Says until when the time is taken by the tokens of earlier requests; never before `now`, nor before the end of a
    pause."""
    paused_until: float

    def wait(self, requests: Rate | None, tokens: Rate | None, before: Wish) -> float:
        """Return the seconds until a request may go that stands behind `before`."""
        waits = [0.0, self.paused_until - self.now]
        if requests is not None:
            waits.append(self.requests_from + before.requests - requests.tolerance - self.now)
        if tokens is not None:
            waits.append(self.tokens_from + before.tokens - tokens.tolerance - self.now)
        return max(waits)
