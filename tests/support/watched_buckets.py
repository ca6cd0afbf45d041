"""Simulates a bucket whose objects appear when a test says so, as a stream watches it."""

from __future__ import annotations

import json
from typing import Any

from loom_common.domain.definition.streams.settings import Pace
from loom_common.errors import AccessRefused, SourceError
from loom_connectors.ports.source import Page, ReadRecord
from loom_connectors.watched.files import WatchedFiles
from loom_connectors.watched.listing import Listed
from support.clocks import ManualClock
from support.pieces import MOST_PAGES

HOUR = 3600
PACE = Pace(wait_seconds=60.0, size=100, poll_seconds=None)


class Records:
    """Represents the source of one object."""

    def __init__(self, listing: Bucket, path: str, version: list[Any]) -> None:
        self._listing, self._path, self._version = listing, path, version

    async def read(self, cursor: Any, limit: int) -> Page:
        if (refused := self._listing.refused.get(self._path)) is not None:
            raise refused
        if not self._listing.is_there(self._path, self._version):
            raise SourceError("it is another one by now")
        numbers = self._listing.numbers[self._path]
        start = cursor or 0
        found = [ReadRecord(f"{self._path} line {n}", {"n": n}) for n in numbers[start : start + limit]]
        return Page(found, start + len(found), end=start + len(found) >= len(numbers))

    async def close(self) -> None:
        return


class Bucket:
    """Represents a bucket as a `Listing`."""

    poll_seconds = 10.0
    finds_late = True
    place = "s3://bucket/in/*"

    def __init__(self, most: int = 1000, lag: int = HOUR) -> None:
        self.most, self.lag_seconds = most, lag
        self.objects: dict[str, Listed] = {}
        self.numbers: dict[str, list[int]] = {}
        self.refused: dict[str, Exception] = {}
        self.looks = 0

    def put(self, path: str, second: int, *numbers: int) -> None:
        self.objects[path] = Listed(path, second * 10**9, len(numbers), f"tag {numbers}")
        self.numbers[path] = list(numbers)

    def files(self) -> list[Listed]:
        self.looks += 1
        return list(self.objects.values())

    def opened(self, path: str, version: list[Any]) -> Records:
        return Records(self, path, version)

    def is_there(self, path: str, version: list[Any]) -> bool:
        return path in self.objects and self.objects[path].version == version

    def seconds_until_settled(self, file: Listed) -> float:
        return 0.0

    def is_of_one_file(self, error: Exception) -> bool:
        return not isinstance(error, AccessRefused)

    def shown(self, path: str) -> str:
        return path

    def position(self, path: str, position: str) -> str:
        return position


def watching(bucket: Bucket, clock: ManualClock | None = None) -> WatchedFiles:
    return WatchedFiles(bucket, PACE, clock or ManualClock())


async def taken(source: WatchedFiles, state: Any = None, limit: int = 1000) -> tuple[list[Any], Any]:
    """Return the records that are there now, in their order, and the state after them."""
    found: list[Any] = []
    for _ in range(MOST_PAGES):
        received = await source.receive(state, limit)
        found += [record for each in received.messages for record in source.records_of(each.body, "")]
        if received.state == state:
            return found, state
        state = json.loads(json.dumps(received.state))
    raise AssertionError(f"The source still takes something: {state}")


def numbers(records: list[Any]) -> list[Any]:
    return [each.data["n"] if each.error is None else each.error.code for each in records]
