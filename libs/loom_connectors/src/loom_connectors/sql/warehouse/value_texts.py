"""Writes values as texts that a warehouse casts into a column's type. What the cast would round, cut or take for
something else is refused before."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

from loom_common.domain.json_values.kinds import kind_of
from loom_common.domain.json_values.whole_numbers import integer_of
from loom_connectors.moments import see_that_it_has_no_offset, see_that_it_is_a_day, see_that_its_seconds_fit
from loom_connectors.values import (
    UnfitValue,
    bytes_of,
    see_that_it_fits_a_double,
    see_that_it_fits_decimals,
    single,
    value_text,
)

Write = Callable[[Any], str]
"""Returns the text of a value. Raises `UnfitValue`."""

_MOMENT = re.compile(r"\s*(\d{4}-\d\d-\d\d)(?:[T ]+(\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)\s*(Z|[+-]\d\d(?::?\d\d)?)?)?\s*")
_CLOCK = re.compile(r"\s*(\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)\s*(?:Z|[+-]00(?::?00)?)?\s*")
_TRUTHS = {"true": "true", "false": "false", "1": "true", "0": "false"}
_ENDLESS = {"nan": "NaN", "infinity": "inf", "inf": "inf", "-infinity": "-inf", "-inf": "-inf"}


def text(length: int) -> Write:
    """Return the writer of texts of at most so many characters."""

    def write(value: Any) -> str:
        written = value_text(value)
        if len(written) > length:
            raise UnfitValue(f"the text has {len(written)} characters, and the column keeps {length}.")
        return written

    return write


def number(precision: int, scale: int) -> Write:
    """Return the writer of decimal numbers with so many digits, of which `scale` stand after the point."""

    def write(value: Any) -> str:
        number = single(integer_of(value) if scale == 0 else value)
        if isinstance(number, bool):
            number = int(number)
        try:
            written = Decimal(str(number).strip())
        except InvalidOperation:
            written = Decimal("NaN")
        if not written.is_finite():
            raise UnfitValue(f"'{str(number)[:40]}' is no number.")
        see_that_it_fits_decimals(str(number), scale)
        if written and written.adjusted() + 1 > precision - scale:
            raise UnfitValue(
                f"the number {number} has more digits than the column keeps (NUMBER({precision},{scale}))."
            )
        return f"{written:f}"

    return write


def double(value: Any) -> str:
    """Write a number of 64 bits of floating point."""
    text = value_text(single(value)).strip()
    if text.lower() in _ENDLESS:
        return _ENDLESS[text.lower()]
    see_that_it_fits_a_double(value)
    try:
        return repr(float(int(value) if isinstance(value, bool) else text))
    except ValueError:
        raise UnfitValue(f"'{text[:40]}' is no number.") from None


def truth(value: Any) -> str:
    """Write a boolean."""
    text = value_text(single(value)).strip().lower()
    if text not in _TRUTHS:
        raise UnfitValue(f"'{text[:40]}' is no boolean.")
    return _TRUTHS[text]


def day(value: Any) -> str:
    """Write a day."""
    see_that_it_is_a_day(single(value))
    return _read(_MOMENT, value, "day")[1]


def time(digits: int) -> Write:
    """Return the writer of times of a day, with so many digits of a second's fraction."""

    def write(value: Any) -> str:
        see_that_its_seconds_fit(single(value), digits)
        see_that_it_has_no_offset(value)
        return _read(_CLOCK, value, "time")[1]

    return write


def moment(digits: int, *, zoned: bool) -> Write:
    """Return the writer of moments; where they are `zoned`, one without an offset is one in UTC."""

    def write(value: Any) -> str:
        see_that_its_seconds_fit(single(value), digits)
        if not zoned:
            see_that_it_has_no_offset(value)
        day, time, offset = _read(_MOMENT, value, "moment").groups()
        text = f"{day}T{time or '00:00:00'}"
        text = text if text.count(":") > 1 else f"{text}:00"
        if not zoned:
            return text
        if offset in (None, "Z"):
            return f"{text}+00:00"
        hours, minutes = offset[:3], offset.replace(":", "")[3:]
        return f"{text}{hours}:{minutes or '00'}"

    return write


def _read(form: re.Pattern[str], value: Any, what: str) -> re.Match[str]:
    """Read the text of a day or a time. Raises `UnfitValue` for one that is none."""
    found = form.fullmatch(value_text(value))
    try:
        if found is None:
            raise ValueError
        if form is _MOMENT:
            dt.datetime.fromisoformat(f"{found[1]}T{(found[2] or '00:00')[:8]}")
        else:
            dt.time.fromisoformat(found[1][:8])
    except ValueError:
        raise UnfitValue(f"'{str(value)[:40]}' is no {what}.") from None
    return found


def hex_bytes(length: int) -> Write:
    """Return the writer of at most so many bytes, in hexadecimal digits."""

    def write(value: Any) -> str:
        found = bytes_of(value)
        if found is None:
            raise UnfitValue(f'{kind_of(value)} cannot be loaded into a column of bytes: expected {{"$bytes": ...}}.')
        if len(found) > length:
            raise UnfitValue(f"the value has {len(found)} bytes, and the column keeps {length}.")
        return found.hex()

    return write


def refusing(kind: str) -> Write:
    """Return the writer of a column that nothing is loaded into."""

    def refuse(_value: Any) -> str:
        raise UnfitValue(f"a column of type {kind} cannot be loaded. Leave it out of the output and of load.include.")

    return refuse
