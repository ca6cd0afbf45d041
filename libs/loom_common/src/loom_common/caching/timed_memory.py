"""Remembers values for a while: bounded in number, in size and in time."""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

from cachetools import TTLCache

V = TypeVar("V")
_OF_EACH = 200
"""About so many bytes a container, or nothing at all, takes besides what is in it."""


class TimedMemory(Generic[V]):
    """Keeps the values of the keys that were used last."""

    def __init__(self, entries: int, most_bytes: int, seconds: float, monotonic: Callable[[], float]) -> None:
        self._entries = entries
        self._most_bytes = most_bytes
        self._kept: TTLCache[Hashable, V] = TTLCache(most_bytes, seconds, monotonic, size_of)

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: Hashable) -> tuple[V] | None:
        """Return the value of a key, in a tuple; None where it is not remembered."""
        return (self._kept[key],) if key in self._kept else None

    def put(self, key: Hashable, value: V) -> None:
        """Remember the value of a key, unless it is larger than all may be together."""
        if not self._entries or size_of(value) > self._most_bytes:
            return
        self._kept[key] = value
        while len(self._kept) > self._entries:
            self._kept.popitem()


def size_of(value: Any) -> int:
    """Return about how many bytes a JSON value takes in memory."""
    match value:
        case dict():
            return _OF_EACH + sum(size_of(name) + size_of(each) for name, each in value.items())
        case list():
            return _OF_EACH + sum(map(size_of, value))
        case _:
            return _OF_EACH if value is None else sys.getsizeof(value)
