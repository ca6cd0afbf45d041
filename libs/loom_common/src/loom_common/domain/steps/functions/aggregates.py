"""Computes what the record of a group holds, one record of the group after the other, so that no group has to fit into
memory. Pure.

Values that are null count for nothing, as in SQL. A text that is a number is one, because a CSV file has no others."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Protocol

from loom_common.errors import RecordError

_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?\s*", re.ASCII)
_LONGEST = 400
"""The most characters of a text that is read as a number."""
_LARGEST = 1e300
"""The largest number that is added up: so many of them remain a number that JSON has."""
Aggregates = Mapping[str, tuple[str, str | None]]
"""Holds by the name of a field the function that makes it, and the field of the records that this is a function of."""


class _Function(Protocol):
    def add(self, value: Any) -> None: ...

    @property
    def value(self) -> Any: ...


class _Count:
    def __init__(self, _: int) -> None:
        self.value = 0

    def add(self, _: Any) -> None:
        self.value += 1


class _Sum:
    """Adds numbers: whole ones exactly, others as the machine adds them, in the order of the source."""

    def __init__(self, _: int) -> None:
        self.value: Any = None

    def add(self, value: Any) -> None:
        number = _number(value)
        self.value = number if self.value is None else self.value + number


class _Mean(_Sum):
    def __init__(self, most: int) -> None:
        super().__init__(most)
        self._total: Any = 0
        self._count = 0

    def add(self, value: Any) -> None:
        self._total, self._count = self._total + _number(value), self._count + 1
        self.value = self._total / self._count


class _Min:
    """Keeps the least number, or the first text in the order of characters."""

    _least = True

    def __init__(self, _: int) -> None:
        self.value: Any = None
        self._order: tuple[bool, Any] | None = None

    def add(self, value: Any) -> None:
        order = _order(value)
        if self._order is not None and self._order[0] != order[0]:
            raise RecordError("some of its values are numbers and others are text", code="group_value")
        if self._order is None or (order < self._order if self._least else order > self._order):
            self.value, self._order = value, order


class _Max(_Min):
    _least = False


class _First:
    def __init__(self, _: int) -> None:
        self.value: Any = None
        self._found = False

    def add(self, value: Any) -> None:
        if not self._found:
            self.value, self._found = value, True


class _Last(_First):
    def add(self, value: Any) -> None:
        self.value = value


class _List:
    def __init__(self, most: int) -> None:
        self.value: list[Any] = []
        self._most = most

    def add(self, value: Any) -> None:
        if len(self.value) == self._most:
            words = f"it has more than {self._most:,} values, which `max_items` allows; `size` makes several records"
            raise RecordError(words, code="too_many_items")
        self.value.append(value)


class _Distinct(_List):
    """Keeps each value once, in the order in which they came."""

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self._known: set[str] = set()

    def add(self, value: Any) -> None:
        if (text := repr(value)) not in self._known:
            super().add(value)
            self._known.add(text)


FUNCTIONS: Mapping[str, Callable[[int], _Function]] = {
    "count": _Count,
    "sum": _Sum,
    "mean": _Mean,
    "min": _Min,
    "max": _Max,
    "first": _First,
    "last": _Last,
    "list": _List,
    "distinct": _Distinct,
}
"""Holds what can be said of a group, by name."""
SCHEMAS: Mapping[str, Mapping[str, Any] | None] = {
    "count": {"type": "integer"},
    "sum": {"type": ["number", "null"]},
    "mean": {"type": ["number", "null"]},
    "min": None,
    "max": None,
    "first": None,
    "last": None,
    "list": {"type": "array"},
    "distinct": {"type": "array"},
}
"""Holds the JSON Schemas of what they make; None for what the records decide."""


def is_aggregate(each: Any) -> bool:
    """Tell whether this is one function of a field, or `count`, as written."""
    if isinstance(each, Mapping):
        return len(each) == 1 and all(name in FUNCTIONS and isinstance(of, str) for name, of in each.items())
    return isinstance(each, str) and each == "count"


class Folded:
    """Computes the fields of one group, to which its records are added one after the other."""

    def __init__(self, aggregates: Aggregates, most: int) -> None:
        self.members = 0
        self.error: RecordError | None = None
        """Says why the record of the group cannot be made."""
        self._aggregates = aggregates
        self._functions = {name: FUNCTIONS[function](most) for name, (function, _) in aggregates.items()}

    def add(self, record_id: str, values: Mapping[str, Any]) -> None:
        """Add a record, of which `values` holds the fields that functions are of."""
        self.members += 1
        if self.error is not None:
            return
        for name, (function, field) in self._aggregates.items():
            value = True if field is None else values.get(field)
            if value is None:
                continue
            try:
                self._functions[name].add(value)
            except RecordError as error:
                words = f"`{name}: {{{function}: {field}}}` cannot be made at the record {record_id}: {error}"
                self.error = RecordError(words, code=error.code, details={"field": str(field)})
                return

    @property
    def fields(self) -> dict[str, Any]:
        """Return what the record of the group holds."""
        return {name: function.value for name, function in self._functions.items()}


def _order(value: Any) -> tuple[bool, Any]:
    """Return by what values are compared: numbers with numbers, and texts with texts."""
    if isinstance(value, str) and not _is_number(value):
        return True, value
    return False, _number(value)


def _is_number(text: str) -> bool:
    return len(text) <= _LONGEST and _NUMBER.fullmatch(text) is not None


def _number(value: Any) -> int | float:
    """Return a number. Raises `RecordError` for what is none; the value itself may be sensitive."""
    number = value
    if isinstance(value, str) and _is_number(value):
        exact = Decimal(value.strip())
        number = int(exact) if abs(exact) <= _LARGEST and exact == exact.to_integral_value() else float(exact)
    if isinstance(number, int | float) and not isinstance(number, bool):
        if abs(number) <= _LARGEST:
            return number
        raise RecordError(f"a value is larger than {_LARGEST:g}", code="group_value")
    kind = "text that is no number" if isinstance(value, str) else "neither a number nor text"
    raise RecordError(f"a value is {kind}", code="group_value")
