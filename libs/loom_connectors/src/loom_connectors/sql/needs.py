"""Says what the values of a column need of its type, so that a system can tell whether a wider type holds them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from loom_connectors.ports.destination import Row
from loom_connectors.sql.columns import columns_of
from loom_connectors.values import UnfitValue, see_that_it_fits_a_double, see_that_it_fits_a_single

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_EXACT_INTEGERS = 2**53


@dataclass(frozen=True, slots=True)
class Needs:
    """Describes the values of a column that are not null."""

    numbers: bool
    """Tells whether each is a number, or a text that reads as one."""
    texts: bool
    """Tells whether each is a text."""
    least: Decimal
    most: Decimal
    """The smallest and the largest number; zero where they are no numbers."""
    before: int
    """The most digits before the point of a number."""
    after: int
    """The most digits after it."""
    longest: int
    """The most characters of a text."""
    floating: bool
    """Tells whether each is a number that 64 bits of floating point keep, and none a text."""
    single: bool
    """Tells whether each is a number that 32 bits of floating point give back."""

    @staticmethod
    def of(values: Iterable[Any]) -> Needs | None:
        """Return what these values need; None where all are null."""
        given = [value for value in values if value is not None]
        if not given:
            return None
        written = [_decimal(value) for value in given]
        read = [each for each in written if each is not None]
        numbers = len(read) == len(given)
        return Needs(
            numbers=numbers,
            texts=all(isinstance(value, str) for value in given),
            least=min(read) if numbers else Decimal(0),
            most=max(read) if numbers else Decimal(0),
            before=max((_digits_before(each) for each in read), default=0),
            after=max((_digits_after(each) for each in read), default=0),
            longest=max((len(value) for value in given if isinstance(value, str)), default=0),
            floating=numbers and all(_keeps_as_double(value) for value in given),
            single=numbers and all(_keeps_as_single(value) for value in given),
        )

    @property
    def whole(self) -> bool:
        """Tell whether each is a whole number."""
        return self.numbers and self.after == 0

    def within(self, least: int, most: int) -> bool:
        """Tell whether each is a number between two others."""
        return self.numbers and least <= self.least and self.most <= most

    def within_bits(self, bits: int) -> bool:
        """Tell whether each is a whole number of so many bits, of which one is the sign."""
        return self.whole and self.within(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def needs_of(rows: Sequence[Row]) -> dict[str, Needs]:
    """Return what the values of each column need, of those in which there are some."""
    found = {name: Needs.of(row.values.get(name) for row in rows) for name in columns_of(rows)}
    return {name: needs for name, needs in found.items() if needs is not None}


def _decimal(value: Any) -> Decimal | None:
    match value:
        case bool():
            return None
        case int() | float():
            return Decimal(str(value))
        case str() if len(value) <= 400 and _NUMBER.fullmatch(value):
            return Decimal(value)
        case _:
            return None


def _digits_before(number: Decimal) -> int:
    return max(number.adjusted() + 1, 0) if number else 0


def _digits_after(number: Decimal) -> int:
    exponent = number.normalize().as_tuple().exponent
    return max(-exponent, 0) if isinstance(exponent, int) else 0


def _keeps_as_double(value: Any) -> bool:
    if isinstance(value, int):
        return abs(value) <= _EXACT_INTEGERS
    return isinstance(value, float)


def _keeps_as_single(value: Any) -> bool:
    try:
        see_that_it_fits_a_single(value)
        see_that_it_fits_a_double(value)
    except UnfitValue:
        return False
    return True
