"""Writes the sentences about a waiting run: for what it waits, and until when. They do no I/O.

A sentence contains the time, so that a command that shows it can count down."""

from __future__ import annotations

import datetime as dt
import re

_LEFT = re.compile(r"\b\d+ s, at (?P<at>\d\d:\d\d:\d\d) UTC")
_DAY = 86_400


def away(stage: str, upstream: str, seconds: float, now: dt.datetime, reason: str) -> str:
    """Say that a stage pauses because an upstream cannot be reached, and tries again after so many seconds."""
    return f"{stage} pauses: {upstream} is away; next probe in {_at(seconds, now)}. {reason}"


def delayed(stage: str, seconds: float, now: dt.datetime, attempt: int, reason: str) -> str:
    """Say that a stage tries a message again after so many seconds."""
    return f"{stage} waits {_at(seconds, now)} (attempt {attempt}): {reason}"


def counted_down(words: str, now: dt.datetime) -> str:
    """Return the sentence with the seconds that remain now."""

    def left(match: re.Match[str]) -> str:
        hours, minutes, seconds = map(int, match["at"].split(":"))
        at = 3600 * hours + 60 * minutes + seconds
        since_midnight = now.astimezone(dt.UTC).hour * 3600 + now.minute * 60 + now.second
        remaining = (at - since_midnight + _DAY // 2) % _DAY - _DAY // 2
        return f"{max(0, remaining)} s, at {match['at']} UTC"

    return _LEFT.sub(left, words, count=1)


def _at(seconds: float, now: dt.datetime) -> str:
    moment = now.astimezone(dt.UTC) + dt.timedelta(seconds=seconds)
    return f"{seconds:.0f} s, at {moment:%H:%M:%S} UTC"
