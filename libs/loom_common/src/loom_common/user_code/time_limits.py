"""Limits the time that a piece of work may take."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from loom_common.errors import Timeout


@asynccontextmanager
async def within(seconds: float, what: str, setting: str) -> AsyncIterator[None]:
    """Give up after `seconds`. Raises `Timeout`, naming `what` took too long and the `setting` that says so."""
    try:
        async with asyncio.timeout(seconds) as limit:
            yield
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise Timeout(f"{what} took longer than {seconds:g} s; see `{setting}`.") from error
