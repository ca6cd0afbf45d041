"""Remembers what was found for keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from loom_common.caching.timed_memory import TimedMemory
from loom_common.domain.definition.transforms.enrich import LookupCache
from loom_connectors.ports.lookup import Found, Key

_MOST_BYTES = 64 * 1024 * 1024
"""About so many bytes are remembered at most of one lookup, whatever the number of its entries."""


class LookupMemory:
    """Keeps the answers for the keys that were asked for last."""

    def __init__(self, config: LookupCache, monotonic: Callable[[], float]) -> None:
        self._kept: TimedMemory[Found] = TimedMemory(config.entries, _MOST_BYTES, config.seconds, monotonic)

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: Key) -> tuple[Found] | None:
        """Return what was found for a key, in a tuple; None where that is not known."""
        return self._kept.get(_name(key))

    def put(self, key: Key, found: Found) -> None:
        """Remember what was found for a key. An error is asked for again."""
        if not isinstance(found, Exception):
            self._kept.put(_name(key), found)


def _name(key: Key) -> tuple[tuple[str, Any], ...]:
    """Return a key by which 1, 1.0, true and the text `1` are told apart."""
    return tuple((type(value).__name__, value) for value in key)
