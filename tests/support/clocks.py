"""Provides a clock that stands still until it is told otherwise."""

from __future__ import annotations

import datetime as dt


class ManualClock:
    """Time passes by `pass_time`, and by sleeping, which takes none."""

    def __init__(self) -> None:
        self._passed = 1000.0
        self.slept: list[float] = []

    def pass_time(self, seconds: float) -> None:
        self._passed += seconds

    def now(self) -> dt.datetime:
        return dt.datetime(2026, 3, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=self._passed)

    def monotonic(self) -> float:
        return self._passed

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.pass_time(seconds)
