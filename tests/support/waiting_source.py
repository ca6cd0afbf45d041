"""Provides a source whose every page takes a while, as one behind a network does: records say which process read
them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from typing import Any

from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.run.piece import Piece
from loom_common.domain.values.fields import Fields
from loom_connectors.pieces import pieces_between
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.source import Page, ReadRecord

PAGE_SECONDS = 0.2


class Numbers:
    """Reads the numbers below that of its address: `waiting_source:Numbers://below/1000`."""

    def __init__(self, config: ExtractConfig, _: ConnectorContext) -> None:
        self._below = int(config.source.rpartition("/")[2])

    async def check(self) -> None:
        """Return: it is always there."""

    async def count(self) -> int:
        return self._below

    async def fields(self) -> Fields:
        return Fields(("id", "reader"), certain=True)

    async def split(self, parts: int | None) -> Sequence[Piece]:
        wanted = parts or 1
        return pieces_between([self._below * at // wanted for at in range(1, wanted)])

    async def read(self, cursor: Any, limit: int, until: Any = None) -> Page:
        await asyncio.sleep(PAGE_SECONDS)
        start, end = cursor or 0, until or self._below
        last = min(start + limit, end)
        reader = os.getpid()
        records = [ReadRecord(f"number {each}", {"id": f"n{each:06}", "reader": reader}) for each in range(start, last)]
        return Page(records, last, end=last >= end)

    async def close(self) -> None:
        """Return: nothing is open."""
