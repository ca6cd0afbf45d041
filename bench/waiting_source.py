"""Provides a source that takes its time: what a process reads of it waits, and uses no CPU.

`alone` reads one page after the other in each process, as reading that computes does; `shared` reads any number at the
same time, as a database or an API behind a network does."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

from bench.reviews import COLUMNS
from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.run.piece import Piece
from loom_common.domain.values.fields import Fields
from loom_connectors.pieces import pieces_between
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.source import Page, ReadRecord

SECONDS = 0.002
"""The time that a record takes, where nothing else is said: 500 a second."""


class Records:
    """Reads so many records: `bench.waiting_source:Records://alone/20000`, each of which takes 2 ms, or 10 us by
    `.../20000/10`."""

    def __init__(self, config: ExtractConfig, _: ConnectorContext) -> None:
        how, number, *us = config.source.rpartition("://")[2].split("/")
        self._number = int(number)
        self._seconds = int(us[0]) / 1_000_000 if us else SECONDS
        self._turn = asyncio.Lock() if how == "alone" else nullcontext()

    async def check(self) -> None:
        """Return: it is always there."""

    async def count(self) -> int:
        return self._number

    async def fields(self) -> Fields:
        return Fields(tuple(COLUMNS), certain=True)

    async def split(self, parts: int | None) -> Sequence[Piece]:
        wanted = parts or 1
        return pieces_between([self._number * at // wanted for at in range(1, wanted)])

    async def read(self, cursor: Any, limit: int, until: Any = None) -> Page:
        start, end = cursor or 0, until or self._number
        last = min(start + limit, end)
        async with self._turn:
            await asyncio.sleep(self._seconds * (last - start))
        records = [ReadRecord(f"record {at}", dict.fromkeys(COLUMNS, str(at))) for at in range(start, last)]
        return Page(records, last, end=last >= end)

    async def close(self) -> None:
        """Return: nothing is open."""
