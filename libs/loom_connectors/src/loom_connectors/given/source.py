"""Reads records that were stored for a run as its source."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.run.piece import Piece as PieceOfSource
from loom_common.domain.values.fields import Fields
from loom_common.domain.values.stored_records import is_name, name_in, owner_of
from loom_common.errors import ConfigurationError, SourceError
from loom_common.ports.payloads import PayloadStore
from loom_connectors.files.reading.source import fields_of
from loom_connectors.given.pieces import Pieces, record_of, unpacked
from loom_connectors.pieces import pieces_between
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.source import PIECES, SAMPLE, Page, ReadRecord

_OPEN = 4 * 1024 * 1024
"""The most bytes of pieces that are kept unpacked beside the newest, so that the slices in a piece do not each unpack
it."""
_WORTH_A_PARTITION = 100_000
"""The number of records of a piece of the source, where nobody says how many pieces there are to be."""


def open_source(config: ExtractConfig, context: ConnectorContext) -> StoredRecords:
    """Open stored records. Raises `ConfigurationError` where there is no store, as in a pipeline's file."""
    name = name_in(config.source)
    if context.payloads is None or name is None or not is_name(name):
        raise ConfigurationError(
            f"extract.source: {config.source} are records that were given to one run, which no pipeline can name. "
            "Name a file, a database or another source."
        )
    return StoredRecords(name, context.payloads)


class StoredRecords:
    """Reads stored records. A cursor is the number of records before it."""

    holds_versions = True

    def __init__(self, name: str, payloads: PayloadStore) -> None:
        self._name = name
        self._payloads = payloads
        self._listed: Pieces | None = None
        self._open: OrderedDict[int, bytes] = OrderedDict()

    async def check(self) -> None:
        await self._pieces()

    async def count(self) -> int | None:
        return (await self._pieces()).records

    async def fields(self) -> Fields | None:
        return fields_of(await self.read(None, SAMPLE))

    async def split(self, parts: int | None) -> Sequence[PieceOfSource]:
        total = (await self._pieces()).records
        wanted = min(PIECES, total // _WORTH_A_PARTITION) if parts is None else parts
        return pieces_between(sorted({total * part // wanted for part in range(1, wanted)} - {0}))

    async def read(self, cursor: Any, limit: int, until: Any = None) -> Page:
        pieces = await self._pieces()
        at = 0 if cursor is None else int(cursor)
        end = pieces.records if until is None else int(until)
        records: list[ReadRecord] = []
        while at < end and len(records) < limit:
            piece = pieces.at(at)
            start = pieces.start(piece)
            lines = (await self._lines(pieces, piece))[at - start : min(end, at + limit - len(records)) - start]
            records += await asyncio.to_thread(_records_of, lines, at + 1)
            at += len(lines)
        return Page(records, at, end=at >= end)

    async def close(self) -> None:
        """Forget the pieces that are unpacked."""
        self._open.clear()

    async def _pieces(self) -> Pieces:
        if self._listed is None:
            try:
                self._listed = Pieces.decoded(await self._payload(self._name))
            except ValueError:
                raise SourceError(f"{self._name} is no list of records that were given to a run.") from None
        return self._listed

    async def _lines(self, pieces: Pieces, number: int) -> Sequence[bytes]:
        """Return the lines of a piece."""
        if (lines := self._open.get(number)) is None:
            data = await self._payload(f"{owner_of(self._name)}/{pieces.pieces[number].name}")
            lines = self._open[number] = await asyncio.to_thread(unpacked, data)
            while len(self._open) > 1 and sum(map(len, self._open.values())) > _OPEN:
                self._open.popitem(last=False)
        return lines.split(b"\n")

    async def _payload(self, name: str) -> bytes:
        try:
            return await self._payloads.get(name)
        except KeyError:
            raise SourceError(
                "The records that were given to the run are no longer stored, or never were. Start a run with them "
                "again."
            ) from None


def _records_of(lines: Sequence[bytes], first: int) -> list[ReadRecord]:
    return [record_of(line, number) for number, line in enumerate(lines, first)]
