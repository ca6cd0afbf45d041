"""Holds the rows of a batch as what they are made of, until a destination reads them.

A batch that waits for its transaction is then no more than the message it came in. Its values are made when they are
written and let go before the next batch, so that they are written while they are in the processor's cache, and the next
ones take their memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import overload

from loom_connectors.ports.destination import Row


class DeferredRows(Sequence[Row]):
    """Represents the rows of a batch, which are made when they are read, and kept from then on."""

    __slots__ = ("_make", "_number", "_rows")

    def __init__(self, number: int, make: Callable[[], list[Row]]) -> None:
        """`make` makes the rows, which are so many, each time it is called. What it raises, reading raises."""
        self._number = number
        self._make = make
        self._rows: list[Row] | None = None

    def __len__(self) -> int:
        return self._number

    @overload
    def __getitem__(self, at: int) -> Row: ...

    @overload
    def __getitem__(self, at: slice) -> list[Row]: ...

    def __getitem__(self, at: int | slice) -> Row | list[Row]:
        return self._kept()[at]

    def __iter__(self) -> Iterator[Row]:
        return iter(self._kept())

    def once(self) -> list[Row]:
        """Return the rows without keeping them, for who reads them at once and lets them go."""
        return self._make() if self._rows is None else self._rows

    def _kept(self) -> list[Row]:
        self._rows = self.once()
        return self._rows


def read_once(rows: Sequence[Row]) -> Sequence[Row]:
    """Return rows for who reads them at once and lets them go."""
    return rows.once() if isinstance(rows, DeferredRows) else rows
