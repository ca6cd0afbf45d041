"""Limits the time that a piece of work may take."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from types import TracebackType

from loom_common.errors import Timeout


def within(seconds: float, what: str, setting: str) -> AbstractAsyncContextManager[None]:
    """Give up after `seconds`. Raises `Timeout`, naming `what` took too long and the `setting` that says so."""
    return _TimeLimit(seconds, what, setting)


class _TimeLimit:
    """Limits the time of one block. It is a class, because every batch passes it, and a generator takes longer."""

    __slots__ = ("_limit", "_seconds", "_setting", "_what")

    def __init__(self, seconds: float, what: str, setting: str) -> None:
        self._seconds = seconds
        self._what = what
        self._setting = setting
        self._limit = asyncio.timeout(seconds)

    async def __aenter__(self) -> None:
        await self._limit.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._limit.__aexit__(kind, error, trace)
        except TimeoutError as ended:
            error = ended
        if isinstance(error, TimeoutError) and self._limit.expired():
            raise Timeout(f"{self._what} took longer than {self._seconds:g} s; see `{self._setting}`.") from error
