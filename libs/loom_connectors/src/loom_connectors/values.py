"""Defines what connectors share about values: bytes in JSON, and numbers that a column would change."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from decimal import Context, Decimal, InvalidOperation
from typing import Any

from loom_common.domain.json_values.exact_json import UnfitJson, dumps, exact_float
from loom_common.domain.json_values.kinds import kind_of

BYTES = "$bytes"
"""The one member of an object that stands for bytes: `{"$bytes": "00ff"}`, in hexadecimal digits."""
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)
"""Says what databases take for a number; the rest they read, or refuse, by themselves."""
_HEX = re.compile(r"\\x(?:[0-9a-fA-F]{2})*")
_BYTES_TEXT = re.compile(r'\{\s*"\$bytes"\s*:\s*"((?:[0-9a-fA-F]{2})*)"\s*\}')
_EXACTLY = Context(prec=200_000)
_EXACT_INTEGERS = 2**53
"""Up to here every integer is a 64-bit floating-point number."""

Bind = Callable[[Any], Any]
"""Returns a JSON value as one that a driver binds for a column. Raises `UnfitValue`."""
_NOTHING = frozenset((type(None),))
_LEFT: dict[Bind, frozenset[type]] = {}
"""The types of values that a binder leaves as they are. It is never called for a null."""
EMPTY_TEXT = (
    " The value is an empty text, as an empty field of a CSV file is: `extract: {options: {null_values: ['']}}` makes "
    "it null."
)
"""Says what is added where a column that holds no text refuses an empty one."""


class UnfitValue(ValueError):
    """Reports a value that its column cannot take as it is: its row is refused, its neighbours are not."""

    def __init__(self, why: str, column: str | None = None) -> None:
        self.column = column
        super().__init__(f"column {column}: {why}" if column else why)


def json_text(value: Any) -> str:
    """Return a value as JSON."""
    return dumps(value).decode()


def value_text(value: Any) -> str:
    """Return a value that is not null as the text that a database or a reader of CSV takes for it: JSON for what has
    parts."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case dict() | list():
            return json_text(value)
        case _:
            return str(value)


def single(value: Any) -> Any:
    """Return the value. Raises `UnfitValue` for one that has parts."""
    if isinstance(value, dict | list):
        raise UnfitValue(f"{kind_of(value)} cannot be loaded into a column of single values.")
    return value


def leaves(*kinds: type) -> Callable[[Bind], Bind]:
    """Mark a binder that returns values of these types as they are. It is not called for a column that holds no
    others, as most columns of text do."""

    def marked(bind: Bind) -> Bind:
        _LEFT[bind] = frozenset((*kinds, type(None)))
        return bind

    return marked


def bound_rows(rows: Sequence[Mapping[str, Any]], binders: Sequence[tuple[str, Bind]]) -> list[list[Any]]:
    """Bind the values of rows for a driver, by the binder of each column. Raises `UnfitValue`, which names the
    column."""
    return [list(row) for row in zip(*_bound_columns(rows, binders), strict=True)]


def bound_values(rows: Sequence[Mapping[str, Any]], binders: Sequence[tuple[str, Bind]]) -> list[Any]:
    """Bind the same values, and return those of one row after those of the other. Raises `UnfitValue`, likewise."""
    values: list[Any] = [None] * (len(rows) * len(binders))
    for at, column in enumerate(_bound_columns(rows, binders)):
        values[at :: len(binders)] = column
    return values


def _bound_columns(rows: Sequence[Mapping[str, Any]], binders: Sequence[tuple[str, Bind]]) -> list[list[Any]]:
    return [_bound([row.get(name) for row in rows], name, bind) for name, bind in binders]


def _bound(values: list[Any], name: str, bind: Bind) -> list[Any]:
    """Bind the values of one column."""
    if _LEFT.get(bind, _NOTHING).issuperset(map(type, values)):
        return values
    try:
        return [value if value is None else bind(value) for value in values]
    except UnfitValue as error:
        raise UnfitValue(str(error), name) from None


def as_object(value: bytes) -> dict[str, str]:
    """Write bytes as a JSON value."""
    return {BYTES: value.hex()}


def bytes_in(value: Any) -> bytes | None:
    """Return the bytes that a JSON value stands for; None where it stands for none."""
    if type(value) is dict and len(value) == 1 and isinstance(digits := value.get(BYTES), str):
        try:
            return bytes.fromhex(digits)
        except ValueError:
            return None
    return None


def bytes_of(value: Any) -> bytes | None:
    """Return the bytes that a column of bytes gets: of the JSON value that stands for them, of its JSON text, which CSV
    files hold, or of Postgres's text form `\\x00ff`; None for a value of another form."""
    if not isinstance(value, str):
        return bytes_in(value)
    if _HEX.fullmatch(value):
        return bytes.fromhex(value[2:])
    if value.startswith("{") and (found := _BYTES_TEXT.fullmatch(value)) is not None:
        return bytes.fromhex(found[1])
    return None


def see_that_it_fits_a_double(value: float | str) -> None:
    """Raise `UnfitValue` for a number, or the text of one, that 64 bits of floating point do not keep."""
    if isinstance(value, str):
        if (len(value) > 15 or "e" in value or "E" in value) and _NUMBER.fullmatch(value):
            try:
                exact_float(value.strip())
            except UnfitJson as error:
                raise UnfitValue(str(error)) from None
    elif isinstance(value, int) and abs(value) > _EXACT_INTEGERS and float(value) != value:
        raise UnfitValue(f"the integer {value} would become {float(value):.0f} in a column of floating-point numbers.")


def see_that_it_fits_a_single(value: float | str) -> None:
    """Check the same for 32 bits of floating point: the number must be the one that such a column gives back."""
    _single_of(value)


def single_text(value: float | str) -> str:
    """Return the text of a number for a 32-bit column of a server that reads it as a 64-bit number first. Raises
    `UnfitValue`, as `see_that_it_fits_a_single` does.

    The shortest text of the greatest number, 3.4028235e+38, is as a 64-bit number beyond it, and would be refused; the
    digits of the 32-bit number as a 64-bit one, 3.4028234663852886e+38, are not."""
    number = _single_of(value)
    return value_text(value) if number is None else repr(number)


def shortest_single(number: float) -> float:
    """Return the 64-bit number with as few digits as tell this 32-bit number from its neighbours."""
    for digits in range(1, 10):
        short = float(f"{number:.{digits}g}")
        if struct.pack("f", short) == struct.pack("f", number):
            return short
    return number


def _single_of(value: float | str) -> float | None:
    """Return the 32-bit number that is written in some digits; None for what is no number."""
    if (written := _decimal(value)) is None:
        return None
    try:
        number = float(struct.unpack("<f", struct.pack("<f", float(written)))[0])
    except OverflowError:
        number = math.inf
    if math.isinf(number):
        raise UnfitValue(f"the number {str(value)[:40]} is too large for 32 bits of floating point.")
    exact = (Decimal(repr(number)), Decimal(f"{number:.17g}"), Decimal(number))
    if written not in exact and written not in (Decimal(f"{number:.{digits}g}") for digits in range(1, 10)):
        raise UnfitValue(
            f"the number {value} would become {number:.9g} in a column of 32-bit floating-point numbers (real). "
            "Make the column double precision or numeric."
        )
    return number


def see_that_it_fits_decimals(value: float | str, scale: int) -> None:
    """Raise `UnfitValue` for a number with more digits after the point than `scale`."""
    written = _decimal(value)
    if written is not None and -int(written.normalize(_EXACTLY).as_tuple().exponent) > scale:
        raise UnfitValue(f"the number {value} has more digits after the point than the column keeps ({scale}).")


def _decimal(value: float | str) -> Decimal | None:
    """Return the number that a database reads; None where it is none, or not finite. Raises `UnfitValue` for an
    exponent that Python's decimals do not keep."""
    text = str(value)
    try:
        return Decimal(text.strip()) if _NUMBER.fullmatch(text) else None
    except InvalidOperation:
        raise UnfitValue(f"the number {text[:40]} has an exponent with too many digits.") from None
