"""Remembers which files of a place have been read, in as little room as that takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loom_connectors.watched.listing import Listed

_FOLDER_LAG_SECONDS = 2
MOST = 50_000
"""The number of files that are remembered: about 600 kB in each checkpoint."""


class TakenFiles:
    """Knows the files that were read whose time is not far below that of the newest. Older ones count as read."""

    def __init__(self, state: Mapping[str, Any] | None) -> None:
        """Read what `written` returned, or what Loom kept of a folder before: a version for each path."""
        self._newest = self._least = self._count = 0
        """The time of the newest file that was read, and that below which every file counts as read, in seconds; and
        the number of files that are remembered."""
        self._marks: dict[str, str] = {}
        """Holds the marks of the files of each second, with spaces between them."""
        if state is not None and "least" in state:
            self._newest, self._least = state["newest"], state["least"]
            self._marks = dict(sorted(state["taken"].items(), key=lambda each: int(each[0])))
            self._count = sum(map(_count, self._marks.values()))
        elif state is not None:
            self._newest = state["newest"] // 10**9
            self._least = max(self._newest - _FOLDER_LAG_SECONDS, 0)
            for path, version in state["taken"].items():
                self.add(Listed(path, *version), _FOLDER_LAG_SECONDS)

    def written(self) -> dict[str, Any]:
        """Return what is known as JSON values."""
        return {"newest": self._newest, "least": self._least, "taken": dict(self._marks)}

    def has(self, file: Listed) -> bool:
        """Tell whether a file was read in this version, or is so old that it counts as read."""
        return file.second < self._least or file.mark in self._marks.get(str(file.second), "")

    def add(self, file: Listed, lag_seconds: int, most: int = MOST) -> None:
        """Remember that a file is read, and forget those whose time is more than `lag_seconds` below the newest, and
        the oldest ones where there are more than `most`. Those of one second are forgotten together."""
        second = str(file.second)
        there = self._marks.get(second)
        self._marks[second] = file.mark if there is None else f"{there} {file.mark}"
        self._count += 1
        self._newest = max(self._newest, file.second)
        self._least = max(self._least, self._newest - lag_seconds)
        while (oldest := int(next(iter(self._marks)))) < self._newest and (oldest < self._least or self._count > most):
            self._count -= _count(self._marks.pop(str(oldest)))
            self._least = max(self._least, oldest + 1)


def _count(marks: str) -> int:
    return marks.count(" ") + 1
