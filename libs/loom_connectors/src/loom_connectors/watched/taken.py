"""Remembers which files of a place have been read, in as little room as that takes."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice, takewhile
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
        self._late: dict[str, int] = {}
        """Holds the marks of files that were older than the newest one when they were read, with the time of that."""
        self._lag = self._late_since = 0
        """The seconds for which those are remembered, and from which time on all of them are."""
        if state is not None and "least" in state:
            self._newest, self._least = state["newest"], state["least"]
            self._marks = dict(sorted(state["taken"].items(), key=lambda each: int(each[0])))
            self._count = sum(map(_count, self._marks.values()))
            self._late = dict(sorted(state.get("late", {}).items(), key=lambda each: each[1]))
            self._lag = state.get("lag", 0)
            self._late_since = state.get("late_since", self._newest)
        elif state is not None:
            self._newest = state["newest"] // 10**9
            self._least = max(self._newest - _FOLDER_LAG_SECONDS, 0)
            for path, version in state["taken"].items():
                self.add(Listed(path, *version), _FOLDER_LAG_SECONDS)

    def written(self) -> dict[str, Any]:
        """Return what is known as JSON values."""
        late = {"late": dict(self._late), "late_since": self._late_since, "lag": self._lag}
        return {"newest": self._newest, "least": self._least, "taken": dict(self._marks), **late}

    @property
    def newest(self) -> int:
        return self._newest

    @property
    def least(self) -> int:
        return self._least

    def is_old(self, file: Listed) -> bool:
        """Tell whether a file counts as read because of its time, unless it was seen to appear late."""
        return file.second < self._least

    def has(self, file: Listed) -> bool:
        """Tell whether a file was read in this version, or is so old that it counts as read."""
        if self.is_old(file):
            return not file.late or file.mark in self._late
        return file.mark in self._marks.get(str(file.second), "")

    def tells_late_ones_since(self, newest: int) -> bool:
        """Tell whether it is known of each file that came out of order which have been read since the newest one was of
        this time."""
        return newest >= self._late_since and self._newest - newest <= self._lag

    def add(self, file: Listed, lag_seconds: int, most: int = MOST) -> None:
        """Remember that a file is read, and forget those whose time is more than `lag_seconds` below the newest, and
        the oldest ones where there are more than `most`. Those of one second are forgotten together."""
        self._lag = lag_seconds
        if file.second < self._newest:
            self._late[file.mark] = self._newest
        if self.is_old(file):
            return
        second = str(file.second)
        there = self._marks.get(second)
        self._marks[second] = file.mark if there is None else f"{there} {file.mark}"
        self._count += 1
        self._newest = max(self._newest, file.second)
        self._least = max(self._least, self._newest - lag_seconds)
        while (oldest := int(next(iter(self._marks)))) < self._newest and (oldest < self._least or self._count > most):
            self._count -= _count(self._marks.pop(str(oldest)))
            self._least = max(self._least, oldest + 1)
        for mark, newest in list(islice(self._late.items(), max(len(self._late) - most, 0))):
            self._late_since = newest + 1
            del self._late[mark]
        for mark in list(takewhile(lambda each: self._late[each] < self._newest - lag_seconds, self._late)):
            del self._late[mark]


def _count(marks: str) -> int:
    return marks.count(" ") + 1
