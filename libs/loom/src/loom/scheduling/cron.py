"""Reads the five fields of a cron expression."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

from loom_common.errors import ConfigurationError

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_SHORT = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_FIELDS = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of the month", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 7, _DAYS),
)
_MOST_DAYS = 366 * 8
"""The number of days within which a date has to come that comes at all: 29 February may be eight years away."""


@dataclass(frozen=True, slots=True)
class Cron:
    """Holds a cron expression. A field that is None is `*`."""

    text: str
    """Holds the five fields of the schedule."""
    minutes: tuple[int, ...] | None
    hours: tuple[int, ...] | None
    days: tuple[int, ...] | None
    months: tuple[int, ...] | None
    weekdays: tuple[int, ...] | None
    """Holds days of the week, of which 0 is Sunday."""
    either: bool
    """Tells whether a day of the month or of the week will do: where both are named, and neither begins with `*`."""

    @classmethod
    def of(cls, written: str) -> Cron:
        """Read `0 6 * * mon-fri`, or `@daily`. Raises `ConfigurationError` with the field that is wrong."""
        text = _SHORT.get(written.strip().lower(), written)
        parts = text.split()
        if len(parts) != len(_FIELDS):
            names = ", ".join(name for name, *_ in _FIELDS)
            short = ", ".join(_SHORT)
            raise ConfigurationError(
                f"{written!r} is no cron expression: it has {len(parts)} fields. Expected are five, {names}, as in "
                f"`0 6 * * *` for six o'clock every day; or one of {short}."
            )
        minutes, hours, days, months, weekdays = (
            _read(part, *field, written) for part, field in zip(parts, _FIELDS, strict=True)
        )
        if weekdays is not None:
            weekdays = tuple(sorted({day % 7 for day in weekdays}))
        either = not parts[2].startswith("*") and not parts[4].startswith("*")
        made = cls(" ".join(parts), minutes, hours, days, months, weekdays, either)
        if next(made.after(dt.datetime.now(dt.UTC)), None) is None:
            raise ConfigurationError(f"{written!r} never comes: no month that it names has such a day.")
        return made

    def is_on(self, day: dt.date) -> bool:
        """Tell whether it comes on a day."""
        if self.months is not None and day.month not in self.months:
            return False
        by_month = self.days is None or day.day in self.days
        by_week = self.weekdays is None or day.isoweekday() % 7 in self.weekdays
        return by_month or by_week if self.either else by_month and by_week

    def after(self, moment: dt.datetime, zone: dt.tzinfo = dt.UTC) -> Iterator[dt.datetime]:
        """Yield the times after a moment, in a time zone."""
        here = moment.astimezone(zone)
        for further in range(_MOST_DAYS):
            day = here.date() + dt.timedelta(days=further)
            if not self.is_on(day):
                continue
            for hour in self.hours if self.hours is not None else range(24):
                for minute in self.minutes if self.minutes is not None else range(60):
                    at = dt.datetime.combine(day, dt.time(hour, minute), zone)
                    if at > here:
                        yield at


def _read(part: str, name: str, least: int, most: int, words: tuple[str, ...], whole: str) -> tuple[int, ...] | None:
    if part == "*":
        return None
    found: set[int] = set()
    for piece in part.split(","):
        span, slash, step = piece.partition("/")
        if span == "*":
            first, last = least, min(most, 6) if name == "day of the week" else most
        else:
            begin, dash, end = span.partition("-")
            first = _number(begin, name, least, most, words, whole)
            last = _number(end, name, least, most, words, whole) if dash else (most if slash else first)
        if slash and (not step.isdigit() or int(step) == 0):
            raise _wrong(piece, name, "a step that is a whole number above 0, as in `*/15`", whole)
        if last < first:
            raise _wrong(piece, name, "a range whose end is not before its beginning", whole)
        found.update(range(first, last + 1, int(step) if slash else 1))
    return tuple(sorted(found))


def _number(text: str, name: str, least: int, most: int, words: tuple[str, ...], whole: str) -> int:
    if text.lower() in words:
        return words.index(text.lower()) + (1 if words is _MONTHS else 0)
    if not (text.isascii() and text.isdigit()) or not least <= int(text) <= most:
        named = f", or {words[0]} to {words[-1]}" if words else ""
        raise _wrong(text, name, f"a number from {least} to {most}{named}", whole)
    return int(text)


def _wrong(found: str, name: str, expected: str, whole: str) -> ConfigurationError:
    return ConfigurationError(f"{whole!r} is no cron expression: {name}: found {found!r}, expected {expected}.")
