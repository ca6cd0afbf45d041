"""Defines the port of what is watched: a folder of this machine, or objects of a bucket."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from loom_connectors.ports.source import Source

_DIGEST_BYTES = 8
"""The length of a mark: among 50,000 that are remembered, two files share one once in 10^14 files."""


@dataclass(frozen=True)
class Listed:
    """Describes a file that is there."""

    path: str
    changed: int
    """Says when it appeared, or was written again, in nanoseconds by the clock of its storage."""
    size: int
    content: int | str | None
    """Differs where its content may be another: when that was written, or the storage's tag of it."""
    late: bool = False
    """Tells that it was seen to appear with a time that counts as read."""

    @property
    def version(self) -> list[Any]:
        """Return what tells it from the same file when it has been written again, as JSON values."""
        return [self.changed, self.size, self.content]

    @property
    def second(self) -> int:
        return self.changed // 10**9

    @cached_property
    def mark(self) -> str:
        """Return a short text that is another one for each file, and for each version of it."""
        written = json.dumps([self.path, *self.version]).encode()
        return base64.urlsafe_b64encode(hashlib.blake2b(written, digest_size=_DIGEST_BYTES).digest())[:11].decode()


class Listing(Protocol):
    """Lists the files of a place that is watched, and opens each. What does not say that it is a coroutine may take
    time, and is called in a thread."""

    poll_seconds: float
    """The usual pause between two looks."""
    lag_seconds: int
    """Says how far below the newest file one is looked for that appeared late."""
    finds_late: bool
    """Tells whether one is looked for, too, that appears with a still older time: uploads may take however long."""
    most: int
    """The number of files that one look finds."""

    @property
    def place(self) -> str:
        """Name the place, the same for everybody who watches it."""
        ...

    def files(self) -> Iterable[Listed]:
        """Yield all files that are there, in any order. Raises as `Source.check` does."""
        ...

    def first(self) -> Source | None:
        """Return the source by which all of the files are judged before a run; None where there is no file."""
        ...

    def whole(self) -> Source:
        """Return the source of all that is there, which this listing closes."""
        ...

    def opened(self, path: str, version: list[Any] | None) -> Source:
        """Return the source of one file, in the version that was listed where the storage can tell. Whoever asks closes
        it."""
        ...

    def is_there(self, path: str, version: list[Any] | None) -> bool:
        """Tell whether a file that could not be read is still there, in the version that was listed."""
        ...

    def seconds_until_settled(self, file: Listed) -> float:
        """Return after how many seconds a file may be read, if it is not changed again; at most 0 where it may be
        now."""
        ...

    def is_of_one_file(self, error: Exception) -> bool:
        """Tell whether this file alone may be at fault where reading it raised a `PermanentError`."""
        ...

    def shown(self, path: str) -> str:
        """Return the name of a file for messages."""
        ...

    def position(self, path: str, position: str) -> str:
        """Return where a record stands, which stands at `position` by the source of its file."""
        ...

    async def close(self) -> None:
        """Close what was opened to look at the place."""
        ...
