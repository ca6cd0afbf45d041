"""Keeps the values that records of a run have in memory, for estimates and tests."""

from __future__ import annotations

from collections.abc import Sequence

from loom_common.ports.seen_values import SeenValue


class MemorySeenValues:
    """Keeps `SeenValues` as long as the process lives."""

    def __init__(self) -> None:
        self._holders: dict[tuple[str, str, str], str] = {}

    async def first(self, values: Sequence[SeenValue]) -> Sequence[str]:
        return [self._holders.setdefault((each.scope, each.check, each.digest), each.record_id) for each in values]

    async def close(self) -> None:
        pass
