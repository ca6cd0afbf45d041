"""Stores the records of one run in the payload store, before the run is started."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable
from contextlib import suppress
from uuid import uuid4

from loom_common.domain.values.stored_records import owner_of
from loom_common.errors import ConfigurationError, LoomError
from loom_common.ports.payloads import PayloadStore
from loom_connectors.given.pieces import LARGEST_RECORD, Piece, Pieces, line_of, packed
from loom_connectors.ports.source import ReadRecord

_PIECE = 1024 * 1024
"""The bytes of JSON of which a piece is made. One record that is larger is a piece of its own."""


async def store(payloads: PayloadStore, records: AsyncIterable[ReadRecord], most_bytes: int) -> str:
    """Store the records, in constant memory, and return the name by which `RunRequest.records` gives them to a run.

    Raises `ConfigurationError` for a record of more than `LARGEST_RECORD` bytes, and where all of them have more than
    `most_bytes` as they are stored; `DependencyUnavailable`; and what the iterable raises. What was stored is then
    removed."""
    owner = f"given_{uuid4().hex}"
    storing = _Storing(payloads, owner, most_bytes)
    try:
        async for record in records:
            await storing.add(record)
        return await storing.end()
    except BaseException:
        with suppress(LoomError):  # what is left is removed by the coordinator
            await payloads.forget(owner)
        raise


async def discard(payloads: PayloadStore, name: str) -> None:
    """Remove records that no run will read. Removing them twice has no further effect. Raises
    `DependencyUnavailable`."""
    await payloads.forget(owner_of(name))


class _Storing:
    """Collects lines until they make a piece."""

    def __init__(self, payloads: PayloadStore, owner: str, most_bytes: int) -> None:
        self._payloads = payloads
        self._owner = owner
        self._most = most_bytes
        self._pieces: list[Piece] = []
        self._lines: list[bytes] = []
        self._bytes = 0
        self._stored = 0
        self._records = 0

    async def add(self, record: ReadRecord) -> None:
        line = line_of(record)
        self._records += 1
        if len(line) > LARGEST_RECORD:
            raise ConfigurationError(
                f"Record {self._records:,} has {len(line):,} bytes; a record that is given to a run has "
                f"{LARGEST_RECORD:,} at most. Put what is large into a file or an object, and its address into the "
                "record."
            )
        if self._lines and self._bytes + len(line) > _PIECE:
            await self._keep()
        self._lines.append(line)
        self._bytes += len(line)

    async def end(self) -> str:
        """Store what is left, and the list of all pieces, and return its name."""
        if self._lines:
            await self._keep()
        return await self._payloads.put(Pieces(self._pieces).encoded(), owner=self._owner)

    async def _keep(self) -> None:
        data = await asyncio.to_thread(packed, b"\n".join(self._lines))
        self._stored += len(data)
        if self._stored > self._most:
            raise ConfigurationError(
                f"The records given to the run have more than {self._most:,} bytes, compressed, after "
                f"{self._records - len(self._lines):,} of them. Write them to a place that the extractors reach, and "
                "name it as `extract.source`; or allow more: LOOM_RECORDS_MAX_MB."
            )
        name = await self._payloads.put(data, owner=self._owner)
        self._pieces.append(Piece(name.rpartition("/")[2], len(self._lines)))
        self._lines, self._bytes = [], 0
