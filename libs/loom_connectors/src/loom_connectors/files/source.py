"""Implements sources that are files: where reading stands in them, and what is done about files that change under a
run.

A storage says which files there are, in which order; a format reads the records of one open file."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from loom_common.domain.definition.pipeline import ExtractConfig
from loom_common.domain.run.piece import Piece
from loom_common.errors import ConfigurationError, SourceError
from loom_connectors.files.file_kinds import see_that_it_is_text
from loom_connectors.files.format import DivisibleReader, FilePosition, RecordReader, TextFile
from loom_connectors.files.storage import Inputs, StoredFile
from loom_connectors.files.text_lines import encoding_of
from loom_connectors.pieces import pieces_between
from loom_connectors.ports import PIECES, SAMPLE, Fields, Page, ReadRecord

_HEAD = 64 * 1024
_CHEAP_TO_COUNT = 64 * 1024 * 1024
"""The number of bytes of all files together that are read through to count their records (about a second)."""
_PIECE = 32 * 1024 * 1024
"""The number of bytes of a piece, where nobody says how many pieces there are to be (a second or two of reading)."""


class FileSource:
    """Reads one file, or all that match a pattern, in the order of their names."""

    def __init__(self, config: ExtractConfig, inputs: Inputs, reader: RecordReader, *, near: bool) -> None:
        """Take `near`, which says whether the files lie on this machine, so that looking through one costs little
        beside reading its records."""
        if config.query is not None:
            raise ConfigurationError(
                f"extract.query is for databases; {config.source} is read as a file. Remove `query`."
            )
        self._location = config.source
        self._keys = config.keys
        self._inputs = inputs
        self._reader = reader
        self._near = near
        self._fingerprints: dict[str, tuple[tuple[object, ...], str]] = {}

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
        return

    def _check(self) -> None:
        for file in self._inputs.files():
            with self._open(file) as text:
                self._reader.check(text, self._keys)

    def _count(self) -> int | None:
        total, files = 0, self._inputs.files()
        if sum(self._sizes(files)) > _CHEAP_TO_COUNT:
            return None
        for file in files:
            with self._open(file) as text:
                found = self._reader.count(text)
            if found is None:
                return None
            total += found
        return total

    def _sizes(self, files: Sequence[StoredFile]) -> list[int]:
        sizes = []
        for file in files:
            with self._inputs.trouble(file):
                state = file.state()
            sizes.append(state.size if state else 0)
        return sizes

    def _split(self, parts: int | None) -> Sequence[Piece]:
        files = self._inputs.files()
        sizes = self._sizes(files)
        total = sum(sizes)
        wanted = min(PIECES, total // _PIECE) if parts is None else parts
        offsets = [total * at // wanted for at in range(1, wanted)]
        cuts: list[tuple[int, FilePosition]] = []
        begins, at_next = 0, False
        for index, (file, size) in enumerate(zip(files, sizes, strict=True)):
            if index and size and (at_next or begins in offsets):
                cuts.append((index, FilePosition()))
                at_next = False
            if amid := [offset - begins for offset in offsets if begins < offset < begins + size]:
                places = self._places(file, amid, told=parts is not None)
                cuts += [(index, place) for place in places]
                at_next = not places
            begins += size
        return pieces_between(self._cursor(files, index, place) for index, place in cuts)

    def _places(self, file: StoredFile, offsets: Sequence[int], *, told: bool) -> Sequence[FilePosition]:
        """Return where records begin near these offsets of a file; nothing where that is not known, or costs too
        much."""
        if not isinstance(self._reader, DivisibleReader) or not (self._near or told):
            return ()
        with self._open(file) as text:
            return self._reader.record_starts(text, offsets) or ()

    def _page(self, cursor: Any, limit: int, until: Any) -> Page:
        files = self._inputs.files()
        index, mark = 0, FilePosition()
        if cursor is not None:
            index, mark = cursor["file"], FilePosition(cursor["offset"], cursor["line"])
            self._see_that_it_is_unchanged(files, cursor)
        last, end = len(files), 0
        if until is not None:
            last, end = until["file"], until["offset"]
            self._see_that_it_is_unchanged(files, until)
        records: list[ReadRecord] = []
        while (index, mark.offset) < (last, end) and len(records) < limit:
            with self._open(files[index], end if index == last else None) as text:
                found, mark = self._reader.read(text, mark, limit - len(records))
                records += found
                if mark.offset >= text.size:
                    index, mark = index + 1, FilePosition()
        return Page(records, self._cursor(files, index, mark), end=(index, mark.offset) >= (last, end))

    def _cursor(self, files: Sequence[StoredFile], index: int, mark: FilePosition) -> dict[str, Any]:
        begun = index < len(files)
        return {
            "file": index,
            "name": self._inputs.relative(files[index]) if begun else None,
            "offset": mark.offset,
            "line": mark.line,
            "fingerprint": self._fingerprint(files[index]) if begun else None,
        }

    def _see_that_it_is_unchanged(self, files: Sequence[StoredFile], cursor: Mapping[str, Any]) -> None:
        if cursor["name"] is None:
            return
        index = cursor["file"]
        name = self._inputs.relative(files[index]) if index < len(files) else "nothing"
        if name != cursor["name"]:
            raise SourceError(
                f"{self._inputs.place}: where {cursor['name']} stood in the order of files, {name} stands now. "
                "Files came or went while the run was reading; start a new run."
            )
        if self._fingerprint(files[index]) != cursor["fingerprint"]:
            raise SourceError(
                f"{self._inputs.shown(files[index])} changed while the run was reading it. Start a new run, and let "
                "files grow under another name until they are complete."
            )

    def _fingerprint(self, file: StoredFile) -> str:
        """Return the size and the hash of the first and last 64 KiB, which a writer can hardly leave as they were.

        Computed anew only where the storage says that the file was written to."""
        with self._inputs.trouble(file), file.opened() as (stream, state):
            if (known := self._fingerprints.get(file.shown)) and known[0] == state.version:
                return known[1]
            digest = hashlib.blake2b(stream.read(_HEAD), digest_size=12)
            stream.seek(max(state.size - _HEAD, 0))
            digest.update(stream.read(_HEAD))
        fingerprint = f"{state.size}-{digest.hexdigest()}"
        self._fingerprints[file.shown] = (state.version, fingerprint)
        return fingerprint

    @contextmanager
    def _open(self, file: StoredFile, until: int | None = None) -> Iterator[TextFile]:
        several = self._inputs.several()
        shown = self._inputs.relative(file) if several else self._location
        with self._inputs.trouble(file), file.opened() as (stream, state):
            head = stream.read(_HEAD)
            see_that_it_is_text(head, self._reader.encoding, shown)
            yield TextFile(
                stream,
                shown=shown,
                prefix=f"{self._inputs.relative(file)} " if several else "",
                encoding=encoding_of(head, self._reader.encoding),
                size=state.size,
                until=until,
            )


def fields_of(page: Page) -> Fields | None:
    """Return what the first records of a source tell of its fields; None where none of them can be used."""
    shapes = [tuple(record.data) for record in page.records if record.error is None]
    if not shapes:
        return None
    names = tuple(dict.fromkeys(name for shape in shapes for name in shape))
    return Fields(names, certain=page.end or len({frozenset(shape) for shape in shapes}) == 1)
