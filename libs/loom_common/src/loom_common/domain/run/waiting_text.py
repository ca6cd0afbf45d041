"""Writes the sentences about a waiting run: for what it waits, and until when. They do no I/O.

A sentence contains the time, so that a command that shows it can count down."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Collection

_PAUSES, _WAITS = "pauses", "waits"
_WHAT = re.compile(rf"(?P<stage>[a-z]+) (?P<kind>{_PAUSES}|{_WAITS})\b")
_LEFT = re.compile(r"\b\d+ s, at (?P<at>\d\d:\d\d:\d\d) UTC")
_DAY = 86_400


def away(stage: str, upstream: str, seconds: float, now: dt.datetime, reason: str) -> str:
    """Say that a stage pauses because an upstream cannot be reached, and tries again after so many seconds."""
    return f"{stage} {_PAUSES}: {upstream} is away; next probe in {_at(seconds, now)}. {reason}"


def delayed(stage: str, seconds: float, now: dt.datetime, attempt: int, reason: str) -> str:
    """Say that a stage tries a message again after so many seconds; `attempt` 0: its calls pause meanwhile, and it is
    not begun again."""
    tried = f" (attempt {attempt})" if attempt else ""
    return f"{stage} {_WAITS} {_at(seconds, now)}{tried}: {reason}"


def counted_down(words: str, now: dt.datetime) -> str:
    """Return the sentence with the seconds that remain now."""

    def left(match: re.Match[str]) -> str:
        return f"{max(0, _seconds_until(match['at'], now))} s, at {match['at']} UTC"

    return _LEFT.sub(left, words, count=1)


def has_passed(words: str, now: dt.datetime) -> bool:
    """Tell whether the time that the sentence names has come; False where it names none."""
    found = _LEFT.search(words)
    return found is not None and _seconds_until(found["at"], now) <= 0


def still_true(words: str, moved: Collection[str], now: dt.datetime) -> bool:
    """Say whether the run still waits as the sentence says, although these stages have finished something since.

    What another stage finishes tells nothing of it. A stage that finishes something has reached what it paused for; a
    message that waits does so until its time has come, whatever becomes of others."""
    what = _WHAT.match(words)
    if what is None or what["stage"] in moved:
        return what is not None and what["kind"] == _WAITS and _remaining(words, now) > 0
    return True


def to_tell(standing: str | None, new: str, now: dt.datetime) -> str:
    """Return which of two sentences about a run is to be told: that an upstream is away rather than that one message
    waits, and else the one that holds for longer."""
    before, after = (_WHAT.match(words or "") for words in (standing, new))
    if standing is None or before is None or _remaining(standing, now) <= 0:
        return new
    if _LEFT.sub("", standing) == _LEFT.sub("", new) and abs(_remaining(standing, now) - _remaining(new, now)) <= 1:
        return standing
    if after is None or before["kind"] == after["kind"] == _PAUSES:
        return new
    if before["kind"] != after["kind"]:
        return standing if before["kind"] == _PAUSES else new
    return standing if _remaining(standing, now) > _remaining(new, now) else new


def _remaining(words: str, now: dt.datetime) -> int:
    """Return the seconds until the time that the sentence names; 0 where it names none."""
    found = _LEFT.search(words)
    return 0 if found is None else _seconds_until(found["at"], now)


def _seconds_until(at: str, now: dt.datetime) -> int:
    """Return the seconds until a time of the day in UTC, negative where it has just passed."""
    hours, minutes, seconds = map(int, at.split(":"))
    utc = now.astimezone(dt.UTC)
    difference = 3600 * (hours - utc.hour) + 60 * (minutes - utc.minute) + seconds - utc.second
    return (difference + _DAY // 2) % _DAY - _DAY // 2


def _at(seconds: float, now: dt.datetime) -> str:
    moment = now.astimezone(dt.UTC) + dt.timedelta(seconds=seconds)
    return f"{seconds:.0f} s, at {moment:%H:%M:%S} UTC"
