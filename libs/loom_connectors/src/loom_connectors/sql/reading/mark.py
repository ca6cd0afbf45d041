"""Decides which rows a database is asked for where a run takes only those from a mark on. It does no I/O.

A database compares values in its own way, so the bound is never above the mark as Loom compares it: the database leaves
out rows that are certainly older, and the extractor those of the others that are."""

# ruff: noqa: S608  names are quoted, values are bound
from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from loom_common.domain.incremental.settings import IncrementalConfig
from loom_common.domain.incremental.window import Point
from loom_connectors.sql.keyset_paging import ROW

_LARGEST = 2**63 - 1


class Compared(StrEnum):
    """Lists how a database compares the values of a column."""

    WHOLE = "whole"
    """Compares as numbers, exactly; the bound is a whole number of 64 bits."""
    DECIMAL = "decimal"
    """Compares as numbers, exactly; the bound is a decimal number."""
    FLOAT = "float"
    """Compares as floating-point numbers of 32 or 64 bits."""
    MOMENT = "moment"
    """Compares as times with a zone."""
    UTC_CLOCK = "utc_clock"
    """Compares as times of UTC, of which the bound names no zone."""
    CLOCK = "clock"
    """Compares as times without a zone."""
    DAY = "day"
    """Compares as days, without a time."""
    DAY_TEXT = "day_text"
    """Compares as texts, which hold times in ISO 8601 with or without a zone."""


@dataclass(frozen=True, slots=True)
class MarkColumn:
    """Describes the column that a mark is compared with."""

    sql: str
    """SQL for its name, quoted, without the row's."""
    compared: Compared
    value: Callable[[str], str]
    """Returns SQL for the bound, given its marker, comparable with the column so that an index of it is usable."""
    bound: Callable[[str], Any] = str
    """Returns what is bound at the marker, given the text of the bound."""


@dataclass(frozen=True, slots=True)
class Narrowing:
    """Says from which value on a source is read."""

    config: IncrementalConfig | None
    start: Point | None
    """None where the run takes all."""

    def of(self, query: str, values: list[Any], column: MarkColumn | None, marker: str) -> tuple[str, list[Any]]:
        """Return the query of the rows that the run takes, as far as the database can tell by this column, and what is
        bound in it: `values`, and the bound at `marker`."""
        if self.config is None or self.start is None or column is None:
            return query, values
        least = least_value(self.start, column.compared, self.config)
        return (query, values) if least is None else (narrowed(query, column, marker), [*values, column.bound(least)])

    def words(self, column: MarkColumn | None) -> str | None:
        """Say which rows the database is asked for by this column; None for all."""
        if self.config is None or column is None:
            return None
        if column.compared in (Compared.CLOCK, Compared.DAY) and self.config.zone is None:
            return None
        less = f" less {self.config.lag}" if self.config.lag else ""
        return f"{self.config.column} >= the mark{less}"


def least_value(start: Point, compared: Compared, config: IncrementalConfig) -> str | None:
    """Return the bound that a column is compared with: no record whose point is `start` or more has a value below it.
    None where there is none, e.g. because the column holds times and the mark is a number."""
    try:
        if start.kind == "number":
            return _least_number(Decimal(start.text), compared)
        return _least_time(dt.datetime.fromisoformat(start.text), compared, config.zone)
    except OverflowError:
        return None


def narrowed(query: str, column: MarkColumn, marker: str) -> str:
    """Return the rows of a query that are not below the bound at `marker`. Rows without a value are among them, since
    they are no older ones, and so are texts that begin like no time."""
    name = f"{ROW}.{column.sql}"
    kept = [f"{name} >= {column.value(marker)}", f"{name} IS NULL"]
    if column.compared is Compared.DAY_TEXT:
        kept.append(f"{name} < '/'")  # the character before 0
    return f"SELECT {ROW}.* FROM (\n{query}\n) AS {ROW} WHERE ({' OR '.join(kept)})"


def _least_number(number: Decimal, compared: Compared) -> str | None:
    match compared:
        case Compared.WHOLE:
            whole = math.floor(number)
            return str(whole) if abs(whole) <= _LARGEST else None
        case Compared.DECIMAL:
            return format(number, "f")
        case Compared.FLOAT:
            least = float(number) - abs(float(number)) * 1e-6 - 1e-44  # 32 bits hold about seven digits
            return repr(least) if math.isfinite(least) else None
        case _:
            return None


def _least_time(moment: dt.datetime, compared: Compared, zone: str | None) -> str | None:
    match compared:
        case Compared.MOMENT:
            return moment.isoformat()
        case Compared.UTC_CLOCK:
            return moment.replace(tzinfo=None).isoformat(sep=" ")
        case Compared.CLOCK if zone is not None:
            return _earliest_clock(moment, ZoneInfo(zone)).isoformat(sep=" ")
        case Compared.DAY if zone is not None:
            return _earliest_clock(moment, ZoneInfo(zone)).date().isoformat()
        case Compared.DAY_TEXT:
            return _earliest_day(moment).isoformat()
        case _:
            return None


def _earliest_clock(moment: dt.datetime, zone: ZoneInfo) -> dt.datetime:
    """Return the earliest time of a clock in the zone that stands for `moment` or later. Where clocks are changed, an
    earlier hour of the clock may be the later one, so the lesser of the offsets around counts."""
    around = (moment - dt.timedelta(days=2), moment, moment + dt.timedelta(days=2))
    offsets = [offset for each in around if (offset := each.astimezone(zone).utcoffset()) is not None]
    return (moment + min(offsets)).replace(tzinfo=None)


def _earliest_day(moment: dt.datetime) -> dt.date:
    """Return the earliest day that a text may name for `moment` or later. Offsets are less than a day. The first days
    of January may be of a week that is counted in the year before: `2020-W53-7`."""
    day = (moment - dt.timedelta(days=1)).date()
    return dt.date(day.year - 1, 12, 31) if (day.month, day.day) <= (1, 3) and day.year > 1 else day
