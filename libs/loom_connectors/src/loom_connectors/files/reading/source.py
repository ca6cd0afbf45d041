"""Implements sources that are files: where reading stands in them, and what is done about files that change under a
run.

A storage says which files there are, in which order; a format reads the records of one open file."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.run.piece import Piece
from loom_common.domain.values.fields import Fields
from loom_common.errors import ConfigurationError
from loom_connectors.files.format import BinaryReader, FilePosition, OpenFile, RecordReader
from loom_connectors.files.reading.cursors import Cursors, States
from loom_connectors.files.reading.open_files import OpenFiles
from loom_connectors.files.reading.text_reading import TextReading
from loom_connectors.files.storage import FileState, Inputs, StoredFile
from loom_connectors.locations import fields_in
from loom_connectors.pieces import pieces_between
from loom_connectors.ports.source import PIECES, SAMPLE, Page, ReadRecord

_CHEAP_TO_COUNT = 64 * 1024 * 1024
"""The number of bytes of all files together that are read through to count their records (about a second)."""
_PIECE = 32 * 1024 * 1024
"""The number of bytes of a piece, where nobody says how many pieces there are to be (a second or two of reading)."""


class FileSource:
    """Reads one file, or all that match a pattern, in the order of their names."""

    holds_versions = True

    def __init__(
        self,
        config: ExtractConfig,
        inputs: Inputs,
        reader: RecordReader | BinaryReader,
        *,
        near: bool,
        compression: str | None = None,
        partitions: bool = True,
    ) -> None:
        """Take `near`, which says whether the files lie on this machine, so that looking through one costs little
        beside reading its records."""
        if config.query is not None:
            raise ConfigurationError(
                f"extract.query is for databases; {config.source} is read as a file. Remove `query`."
            )
        self._keys = config.keys
        self._inputs = inputs
        self._reader = TextReading(reader) if isinstance(reader, RecordReader) else reader
        self.is_near = near
        self._compression = compression
        self._partitions = partitions
        self._cursors = Cursors(inputs)
        # What is packed, far away or read by columns takes time to find one's place in.
        costly = compression is not None or not isinstance(self._reader, TextReading) or not near
        self._files = OpenFiles(inputs, config.source, compression, keep=costly)

    async def check(self) -> None:
        await asyncio.to_thread(self._check)

    async def count(self) -> int | None:
        return await asyncio.to_thread(self._count)

    async def fields(self) -> Fields | None:
        return fields_of(await self.read(None, SAMPLE))

    async def split(self, parts: int | None) -> Sequence[Piece]:
        return await asyncio.to_thread(self._split, parts)

    async def read(self, cursor: Any, limit: int, until: Any = None) -> Page:
        return await asyncio.to_thread(self._page, cursor, limit, until)

    async def close(self) -> None:
        await asyncio.to_thread(self._files.close)

    def _check(self) -> None:
        states = States(self._inputs)
        for file in self._inputs.files():
            with self._files.open(file, states.of(file)) as opened:
                named = self._fields_of(file)
                self._reader.check(opened, [key for key in self._keys if key not in named])

    def _count(self) -> int | None:
        files = self._inputs.files()
        known = States(self._inputs)
        states = [known.of(file) for file in files]
        cheap = _CHEAP_TO_COUNT if self._compression is None else _CHEAP_TO_COUNT // 8
        if isinstance(self._reader, TextReading) and sum(state.size for state in states if state) > cheap:
            return None
        total = 0
        for file, state in zip(files, states, strict=True):
            with self._files.open(file, state) as opened:
                found = self._reader.count(opened)
            if found is None:
                return None
            total += found
        return total

    def _split(self, parts: int | None) -> Sequence[Piece]:
        files = self._inputs.files()
        states = States(self._inputs)
        sizes = [state.size if (state := states.of(file)) else 0 for file in files]
        total = sum(sizes)
        # With a key nobody would read the pieces apart unasked, see `Extractor.split`: then none is looked for.
        unasked = 1 if self._keys else min(PIECES, total // _PIECE)
        wanted = unasked if parts is None else parts
        offsets = [total * at // wanted for at in range(1, wanted)]
        cuts: list[tuple[int, FilePosition]] = []
        begins, at_next = 0, False
        for index, (file, size) in enumerate(zip(files, sizes, strict=True)):
            if index and size and (at_next or begins in offsets):
                cuts.append((index, FilePosition()))
                at_next = False
            if amid := [offset - begins for offset in offsets if begins < offset < begins + size]:
                places = self._places(file, states.of(file), amid, told=parts is not None)
                cuts += [(index, place) for place in places]
                at_next = not places
            begins += size
        return pieces_between(self._cursors.at(files, index, place, states) for index, place in cuts)

    def _places(
        self, file: StoredFile, state: FileState | None, offsets: Sequence[int], *, told: bool
    ) -> Sequence[FilePosition]:
        """Return where records begin near these offsets of a file; nothing where that is not known, or costs too
        much."""
        if self._compression is not None or (isinstance(self._reader, TextReading) and not (self.is_near or told)):
            return ()
        with self._files.open(file, state) as opened:
            return self._reader.record_starts(opened, offsets) or ()

    def _page(self, cursor: Any, limit: int, until: Any) -> Page:
        files = self._inputs.files()
        states = States(self._inputs)
        index, mark = 0, FilePosition()
        if cursor is not None:
            index, mark = cursor["file"], FilePosition(cursor["offset"], cursor["line"])
            self._cursors.check(files, cursor, states)
        last, end = len(files), 0
        if until is not None:
            last, end = until["file"], until["offset"]
            self._cursors.check(files, until, states)
        records: list[ReadRecord] = []
        while (index, mark.offset) < (last, end) and len(records) < limit:
            with self._files.open(files[index], states.of(files[index])) as opened:
                opened.until = end if index == last else None
                found, mark = self._reader.read(opened, mark, limit - len(records))
                records += with_fields(found, self._fields_of(files[index]))
                if self._is_at_end(opened, mark):
                    index, mark = index + 1, FilePosition()
        return Page(records, self._cursors.at(files, index, mark, states), end=(index, mark.offset) >= (last, end))

    def _fields_of(self, file: StoredFile) -> dict[str, str | None]:
        """Return the fields that the folders of a file name, where it is one of several."""
        return fields_in(self._inputs.relative(file)) if self._partitions and self._inputs.several() else {}

    def _is_at_end(self, file: OpenFile, mark: FilePosition) -> bool:
        """Tell whether nothing follows. How much a compressed file unpacks to is not known before its end."""
        if self._compression is None:
            return mark.offset >= file.size
        file.stream.seek(mark.offset)
        at_end = not file.stream.read(1)
        file.stream.seek(-1 if not at_end else 0, io.SEEK_CUR)
        return at_end


def with_fields(records: Sequence[ReadRecord], fields: Mapping[str, str | None]) -> Sequence[ReadRecord]:
    """Return records with the fields of their folders, where they have none of the same name."""
    if not fields:
        return records
    return [replace(each, data={**each.data, **fields, **each.data}) for each in records]


def fields_of(page: Page) -> Fields | None:
    """Return what the first records of a source tell of its fields; None where none of them can be used."""
    shapes = [tuple(record.data) for record in page.records if record.error is None]
    if not shapes:
        return None
    names = tuple(dict.fromkeys(name for shape in shapes for name in shape))
    return Fields(names, certain=page.end or len({frozenset(shape) for shape in shapes}) == 1)
