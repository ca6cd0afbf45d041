"""What is said of a run that waits: for what, and until when. The time stands in the words, so that whoever shows them
can count down. Pure."""

from __future__ import annotations

import datetime as dt
import re

_LEFT = re.compile(r"\b\d+ s, at (?P<at>\d\d:\d\d:\d\d) UTC")
_DAY = 86_400


def away(stage: str, upstream: str, seconds: float, now: dt.datetime, reason: str) -> str:
    """A stage pauses, because what it needs is away, and tries it again after so many seconds."""
    return f"{stage} pauses: {upstream} is away; next probe in {_at(seconds, now)}. {reason}"


def delayed(stage: str, seconds: float, now: dt.datetime, attempt: int, reason: str) -> str:
    """A stage will try a message again after so many seconds."""
    return f"{stage} waits {_at(seconds, now)} (attempt {attempt}): {reason}"


def counted_down(words: str, now: dt.datetime) -> str:
    """The same words, with the seconds that are left now."""

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
