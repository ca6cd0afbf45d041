"""Keeps batch marks in memory, for tests and for runs that keep nothing after they end."""

from __future__ import annotations

from loom_common.domain.marks import Mark


class MemoryMarks:
    """Implements a `Marks` store in a dictionary."""

    def __init__(self) -> None:
        self._marks: dict[str, Mark] = {}

    async def begin(self, batch: str, mark: Mark) -> Mark | None:
        found = self._marks.get(batch)
        if found is None:
            self._marks[batch] = mark
        return found

    async def keep(self, batch: str, mark: Mark) -> None:
        self._marks[batch] = mark

    async def clear(self, batch: str) -> None:
        self._marks.pop(batch, None)

    async def close(self) -> None:
        self._marks.clear()
