"""Says what became of records that were checked, and judges a run by what its checks have counted."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from zoneinfo import ZoneInfo

from loom_common.domain.quality.bounds import time_of
from loom_common.domain.quality.check import QualityCheck, RecordCheck
from loom_common.domain.quality.kinds import Freshness, RowCount, named
from loom_common.domain.section import said
from loom_common.domain.values.durations import seconds
from loom_common.errors import CheckFailed
from loom_common.text import shown

QUALITY_CHECK = "quality_check"
"""The code of a record that a check keeps back."""
_SHOWN = 100
"""The most characters of a value that a reason shows."""


@dataclass(frozen=True, slots=True)
class Miss:
    """Says that a record misses a check."""

    check: str
    """The check's name."""
    columns: tuple[str, ...]
    value: str
    """The value, as text that may be shown: cut, and without characters that no database stores."""
    reason: str
    other: str | None = None
    """The record that has the same value, where a value may occur once."""

    def as_json(self) -> dict[str, Any]:
        """Return the miss as the details of a quarantined record have it."""
        said = {"check": self.check, "field": ", ".join(self.columns), "value": self.value, "reason": self.reason}
        return said if self.other is None else {**said, "first": self.other}

    def __str__(self) -> str:
        """Return the words of the miss without the value, so that the reasons of many records are alike."""
        what = f"'{', '.join(self.columns)}'" if self.columns else "The record"
        return f"{what} misses the check '{self.check}': {self.reason}"

    @property
    def with_value(self) -> str:
        """Return the words of the miss with the value."""
        return f"{self} (it is {self.value})" if self.columns else str(self)


def miss_of(name: str, check: RecordCheck, fields: Mapping[str, Any], reason: str, other: str | None = None) -> Miss:
    """Return that the record with these fields misses a check."""
    values = [_shown(fields.get(column, _MISSING)) for column in check.columns]
    return Miss(name, check.columns, ", ".join(values), shown(reason, 1_000), other)


_MISSING = object()


def _shown(value: object) -> str:
    if value is _MISSING:
        return "(missing)"
    return "null" if value is None else shown(repr(value) if isinstance(value, str) else value, _SHOWN)


def kept_back(misses: Sequence[Miss]) -> CheckFailed:
    """Return the error that quarantines a record for the checks that it misses."""
    first, *others = misses
    more = f" (and {len(others)} more: {', '.join(each.check for each in others)})" if others else ""
    return CheckFailed(
        f"{first}{more}",
        code=QUALITY_CHECK,
        details={**first.as_json(), **({"others": [each.as_json() for each in others]} if others else {})},
    )


@dataclass(frozen=True, slots=True)
class Counted:
    """Counts the records that a check has seen in a part of a run."""

    seen: int = 0
    missed: int = 0
    newest: float | None = None
    """`freshness`: the newest time that was seen, in seconds since 1970."""

    def __add__(self, other: Counted) -> Counted:
        times = [each for each in (self.newest, other.newest) if each is not None]
        return replace(
            self,
            seen=self.seen + other.seen,
            missed=self.missed + other.missed,
            newest=max(times) if times else None,
        )


def newest_of(check: Freshness, values: Iterable[Any]) -> float | None:
    """Return the newest time among values, in seconds since 1970; None where there is none that counts."""
    zone = None if check.zone is None else ZoneInfo(check.zone)
    found = []
    for value in values:
        try:
            time = time_of(value)
        except ValueError:
            continue
        if time.tzinfo is None:
            if zone is None:
                continue
            time = time.replace(tzinfo=zone)
        found.append(time.timestamp())
    return max(found, default=None)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Judges a run by one check."""

    name: str
    check: QualityCheck
    counted: Counted
    broken: str | None
    """Says why the run misses the check; None where it holds it, or cannot be judged by it yet."""

    @property
    def kind(self) -> str:
        """Return the `check` of the check."""
        return str(said(self.check, "check"))

    @property
    def action(self) -> str:
        """Return the `action` of the check."""
        return str(said(self.check, "action"))

    @property
    def fails(self) -> bool:
        """Tell whether the run must fail."""
        return self.broken is not None and self.action != "warn"

    @property
    def outcome(self) -> str:
        """Say in one word what the check came to: `passed`, `warned`, `quarantined` or `failed`."""
        if self.fails:
            return "failed"
        tolerated = self.check.tolerated if isinstance(self.check, RecordCheck) else None
        if self.broken is not None or (self.counted.missed and tolerated is None and self.action == "warn"):
            return "warned"
        if self.counted.missed and self.action == "quarantine":
            return "quarantined"
        return "failed" if self.counted.missed and tolerated is None else "passed"


def verdicts(
    checks: Sequence[QualityCheck], counts: Mapping[str, Counted], began: dt.datetime, *, whole: bool
) -> list[Verdict]:
    """Judge a run that began at a time. `whole` is False where it has not seen all records, or reads only a part of its
    source, as a replay or a sample does: checks of a whole run, and shares, then say nothing."""
    return [
        Verdict(name, check, counted, _broken(check, counted, began, whole=whole))
        for name, check in named(checks)
        for counted in [counts.get(name, Counted())]
    ]


def _broken(check: QualityCheck, counted: Counted, began: dt.datetime, *, whole: bool) -> str | None:
    match check:
        case RowCount(min=least, max=greatest) if whole:
            if least is not None and counted.seen < least:
                return f"there were {counted.seen:,} records, fewer than {least:,}"
            if greatest is not None and counted.seen > greatest:
                return f"there were {counted.seen:,} records, more than {greatest:,}"
        case Freshness(column=column, max_age=max_age) if whole:
            return _stale(column, max_age, check, counted, began)
        case RecordCheck() if whole and check.tolerated is not None and counted.seen:
            share = counted.missed / counted.seen
            if share > check.tolerated + 1e-12:
                parts = f"{counted.missed:,} of {counted.seen:,} records"
                return f"{parts} miss it ({share:.2%}, at most {check.tolerated:.2%} may)"
    return None


def _moment(seconds_since_1970: float) -> str:
    try:
        return dt.datetime.fromtimestamp(seconds_since_1970, dt.UTC).isoformat(timespec="seconds")
    except (OverflowError, ValueError):  # a time zone moves the first day of year 1 to the year before
        return "before the year 1"


def _stale(column: str, max_age: str, check: Freshness, counted: Counted, began: dt.datetime) -> str | None:
    if counted.newest is None:
        hint = "" if check.zone else "; a time without a zone counts only where the check has a `zone`"
        return f"no record has a time in '{column}'{hint}"
    age = began.timestamp() - counted.newest
    if age > seconds(max_age):
        return f"the newest '{column}' is {_moment(counted.newest)}, older than {max_age} when the run began"
    return None
