"""Finds files that appear with a time so old that it counts as read: their upload took longer than it may.

Nothing in a listing tells them from old files but the listing before it. So each process remembers what its last look
found, by a number for each file. It trusts that memory while the newest file that was read is not more than the lag
newer than it was then: for so long the state of the stream says which files came out of order, whichever process has
read them."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import replace

from loom_common.logs.logger import log
from loom_connectors.watched.listing import Listed
from loom_connectors.watched.taken import TakenFiles


class LastLook:
    """Remembers the files that the last look of this process found. A file takes 8 bytes."""

    def __init__(self) -> None:
        self._numbers: array[int] | None = None
        self._newest = 0

    def is_trusted(self, taken: TakenFiles) -> bool:
        """Tell whether no process can have read a file, and have forgotten it, that came out of order since then."""
        return taken.tells_late_ones_since(self._newest)

    def untaken(self, files: Iterable[Listed], taken: TakenFiles, place: str) -> Iterator[Listed]:
        """Yield those of all `files` there are that nobody has taken, and remember all of them once all were asked
        for."""
        before = self._numbers if self.is_trusted(taken) else None
        found, newest = array("q"), taken.newest
        for file in files:
            number = hash((file.path, *file.version))
            if not taken.is_old(file):
                if not taken.has(file):
                    yield file
            elif before is not None and not _has(before, number) and not taken.has(late := replace(file, late=True)):
                log.warning(
                    "a file appeared late, and is read", place=place, file=file.path, late_s=taken.least - file.second
                )
                yield late
                continue  # until it is taken, each look finds it again
            found.append(number)
        self._numbers, self._newest = array("q", sorted(found)), newest


def _has(numbers: array[int], number: int) -> bool:
    at = bisect_left(numbers, number)
    return at < len(numbers) and numbers[at] == number
