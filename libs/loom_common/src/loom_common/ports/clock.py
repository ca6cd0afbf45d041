"""Defines the port of time, which tests replace."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from typing import Protocol


class Clock(Protocol):
    """Tells a service the time, and lets it sleep."""

    def now(self) -> dt.datetime:
        """Return the time in UTC, with its zone."""
        ...

    def monotonic(self) -> float:
        """Return the seconds of a clock that never goes back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Sleep for so many seconds."""
        ...


class SystemClock:
    """Reads the machine's clock."""

    def now(self) -> dt.datetime:
        return dt.datetime.now(dt.UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
