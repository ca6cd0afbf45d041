"""Decides which records a run takes, and keeps which of the newest ones have been read.

A window holds the newest value and the records at most `lag` below it. Windows are joined by an operation that is
commutative and idempotent, so that parts of a run may be joined in any order, and each of them twice."""

import datetime as dt
from collections.abc import Iterable, Mapping
from decimal import Context, Decimal
from typing import Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field

from loom_common.domain.incremental.settings import IncrementalConfig
from loom_common.domain.quality.bounds import has_value, number_of, readable_bound, time_of
from loom_common.domain.values import durations
from loom_common.errors import RecordError
from loom_common.text import shown

Kind = Literal["number", "time"]
_EXACTLY = Context(prec=50_000)
"""Keeps every digit of a difference of two numbers, whose exponents have four digits at most."""


class Point(BaseModel):
    """Holds a value of the column, in a form that all databases and messages carry exactly."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    kind: Kind
    text: str = Field(description="A decimal number, or a time in UTC in ISO 8601.")

    @property
    def order(self) -> Decimal:
        """Return what points of one kind are compared by; of a time the microseconds since 1970."""
        if self.kind == "number":
            return Decimal(self.text)
        return Decimal((dt.datetime.fromisoformat(self.text) - _EPOCH) // dt.timedelta(microseconds=1))

    def below(self, lag: str | float) -> "Point":
        """Return the point that lies `lag` below this one."""
        if self.kind == "time":
            seconds = durations.seconds(lag) if isinstance(lag, str) else lag
            try:
                least = dt.datetime.fromisoformat(self.text) - dt.timedelta(seconds=seconds)
            except OverflowError:  # that lies before the first time there is
                least = _FIRST
            return Point(kind="time", text=least.isoformat())
        width = durations.seconds(lag) if isinstance(lag, str) else lag
        return Point(kind="number", text=str(_EXACTLY.subtract(Decimal(self.text), number_of(width))))


_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_FIRST = dt.datetime.min.replace(tzinfo=dt.UTC)


class Window(BaseModel):
    """Holds the newest value that was read, and the records at most `lag` below it."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    newest: Point
    read: dict[str, Point] = Field(default_factory=dict, description="The value of each record, by its id.")


def point_of(value: Any, config: IncrementalConfig) -> Point:
    """Return the point of a record's value. Raises `RecordError` where it has none, or is a time without a zone."""
    if not has_value(value):
        raise _unusable(config, value, "it has no value")
    try:
        found = readable_bound(value)
    except ValueError as error:
        raise _unusable(config, value, "it is no number, and no time in ISO 8601") from error
    if isinstance(found, Decimal):
        return Point(kind="number", text=str(found))
    if found.tzinfo is None:
        if config.zone is None:
            raise _unusable(config, value, "it names no time zone; `extract.incremental.zone` says which one is meant")
        found = found.replace(tzinfo=ZoneInfo(config.zone))
    try:
        return Point(kind="time", text=found.astimezone(dt.UTC).isoformat())
    except OverflowError:
        raise _unusable(config, value, "in UTC it lies before the year 1 or after the year 9999") from None


def start_of(config: IncrementalConfig) -> Point | None:
    """Return the point of `start`; a time without a zone is in the zone of the settings, or else in UTC."""
    if config.start is None:
        return None
    try:
        return point_of(config.start, config)
    except RecordError:
        return Point(kind="time", text=time_of(config.start).replace(tzinfo=dt.UTC).isoformat())


def least_taken(before: Window | None, config: IncrementalConfig) -> Point | None:
    """Return the least value that a run looks at which begins at the window `before`; None where it looks at all."""
    return start_of(config) if before is None else before.newest.below(config.lag)


def _unusable(config: IncrementalConfig, value: Any, reason: str) -> RecordError:
    details = {"field": config.column, "value": shown(repr(value), 100)}
    return RecordError(
        f"'{config.column}' cannot tell whether the record is new: {reason}.", code="incremental", details=details
    )


Taken = Literal["new", "late", "read", "old"]


def judged(point: Point, record_id: str, before: Window | None, config: IncrementalConfig) -> Taken:
    """Say what a record is to a run that begins at the window `before`: `new`, `late` (found below the mark), `read` by
    an earlier run, or `old`: below everything that is looked at, or a version of a row of which an earlier run has read
    a newer one. Raises `RecordError` for a value of another kind than the mark."""
    least = least_taken(before, config)
    _see_kind(point, least, config)
    if least is not None and point.order < least.order:
        return "old"
    if before is None or point.order > before.newest.order:
        return "new"
    known = before.read.get(record_id)
    if known == point:
        return "read"
    if known is not None and point.order < known.order:
        return "old"
    return "new" if point.order == before.newest.order else "late"


def _see_kind(point: Point, other: Point | None, config: IncrementalConfig) -> None:
    if other is not None and point.kind != other.kind:
        raise _unusable(config, point.text, f"it is a {point.kind}, and the mark is a {other.kind}")


def window_of(points: Mapping[str, Point], config: IncrementalConfig) -> Window | None:
    """Return the window of records, by their ids; None where there are none."""
    if not points:
        return None
    newest = max(points.values(), key=lambda point: point.order)
    return _pruned(Window(newest=newest, read=dict(points)), config.lag)


def joined(windows: Iterable[Window | None], lag: str | float) -> Window | None:
    """Return the window of all records of these windows; None where there are none."""
    there = [window for window in windows if window is not None]
    if not there:
        return None
    newest = max((window.newest for window in there), key=lambda point: point.order)
    read: dict[str, Point] = {}
    for window in there:
        for name, point in window.read.items():
            known = read.get(name)
            read[name] = point if known is None or known.order < point.order else known
    return _pruned(Window(newest=newest, read=read), lag)


def _pruned(window: Window, lag: str | float) -> Window:
    least = window.newest.below(lag).order
    kept = {name: point for name, point in window.read.items() if point.order >= least}
    return window.model_copy(update={"read": dict(sorted(kept.items()))})
