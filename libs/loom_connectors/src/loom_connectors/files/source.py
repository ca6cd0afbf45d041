"""Implements sources that are files: where reading stands in them, and what is done about files that change under a
run.

A storage says which files there are, in which order; a format reads the records of one open file."""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from loom_common.domain.definition.pipeline import ExtractConfig
from loom_common.domain.run.piece import Piece
from loom_common.errors import ConfigurationError, SourceError
from loom_connectors.files.compression import unpacked
from loom_connectors.files.format import BinaryReader, FilePosition, OpenFile, RecordReader
from loom_connectors.files.storage import FileState, Inputs, StoredFile
from loom_connectors.files.text_reading import TextReading
from loom_connectors.locations import fields_in
from loom_connectors.pieces import pieces_between
from loom_connectors.ports import PIECES, SAMPLE, Fields, Page, ReadRecord

_HEAD = 64 * 1024
_CHEAP_TO_COUNT = 64 * 1024 * 1024
"""The number of bytes of all files together that are read through to count their records (about a second)."""
_PIECE = 32 * 1024 * 1024
"""The number of bytes of a piece, where nobody says how many pieces there are to be (a second or two of reading)."""


@dataclass(slots=True)
class _KeptOpen:
    """Holds the file that was read last, so that the next page need not find its place again."""

    shown: str
    version: tuple[object, ...]
    file: OpenFile
    closing: ExitStack


class FileSource:
    """Reads one file, or all that match a pattern, in the order of their names."""

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
        self._location = config.source
        self._keys = config.keys
        self._inputs = inputs
        self._reader = TextReading(reader) if isinstance(reader, RecordReader) else reader
        self._near = near
        self._compression = compression
        self._partitions = partitions
        self._fingerprints: dict[str, tuple[tuple[object, ...], str]] = {}
        self._kept_open: list[_KeptOpen] = []
        self._closed = False

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
        self._closed = True
        await asyncio.to_thread(self._close_kept)

    def _check(self) -> None:
        for file in self._inputs.files():
            with self._open(file, self._state(file)) as opened:
                named = self._fields_of(file)
                self._reader.check(opened, [key for key in self._keys if key not in named])

    def _count(self) -> int | None:
        files = self._inputs.files()
        states = [self._state(file) for file in files]
        cheap = _CHEAP_TO_COUNT if self._compression is None else _CHEAP_TO_COUNT // 8
        if isinstance(self._reader, TextReading) and sum(state.size for state in states if state) > cheap:
            return None
        total = 0
        for file, state in zip(files, states, strict=True):
            with self._open(file, state) as opened:
                found = self._reader.count(opened)
            if found is None:
                return None
            total += found
        return total

    def _split(self, parts: int | None) -> Sequence[Piece]:
        files = self._inputs.files()
        states = _States(self._state)
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
        return pieces_between(self._cursor(files, index, place, states) for index, place in cuts)

    def _places(
        self, file: StoredFile, state: FileState | None, offsets: Sequence[int], *, told: bool
    ) -> Sequence[FilePosition]:
        """Return where records begin near these offsets of a file; nothing where that is not known, or costs too
        much."""
        if self._compression is not None or (isinstance(self._reader, TextReading) and not (self._near or told)):
            return ()
        with self._open(file, state) as opened:
            return self._reader.record_starts(opened, offsets) or ()

    def _page(self, cursor: Any, limit: int, until: Any) -> Page:
        files = self._inputs.files()
        states = _States(self._state)
        index, mark = 0, FilePosition()
        if cursor is not None:
            index, mark = cursor["file"], FilePosition(cursor["offset"], cursor["line"])
            self._see_that_it_is_unchanged(files, cursor, states)
        last, end = len(files), 0
        if until is not None:
            last, end = until["file"], until["offset"]
            self._see_that_it_is_unchanged(files, until, states)
        records: list[ReadRecord] = []
        while (index, mark.offset) < (last, end) and len(records) < limit:
            with self._open(files[index], states.of(files[index])) as opened:
                opened.until = end if index == last else None
                found, mark = self._reader.read(opened, mark, limit - len(records))
                records += with_fields(found, self._fields_of(files[index]))
                if self._is_at_end(opened, mark):
                    index, mark = index + 1, FilePosition()
        return Page(records, self._cursor(files, index, mark, states), end=(index, mark.offset) >= (last, end))

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

    def _cursor(self, files: Sequence[StoredFile], index: int, mark: FilePosition, states: _States) -> dict[str, Any]:
        begun = index < len(files)
        return {
            "file": index,
            "name": self._inputs.relative(files[index]) if begun else None,
            "offset": mark.offset,
            "line": mark.line,
            "fingerprint": self._fingerprint(files[index], states) if begun else None,
        }

    def _see_that_it_is_unchanged(
        self, files: Sequence[StoredFile], cursor: Mapping[str, Any], states: _States
    ) -> None:
        if cursor["name"] is None:
            return
        index = cursor["file"]
        name = self._inputs.relative(files[index]) if index < len(files) else "nothing"
        if name != cursor["name"]:
            raise SourceError(
                f"{self._inputs.place}: where {cursor['name']} stood in the order of files, {name} stands now. "
                "Files came or went while the run was reading; start a new run."
            )
        if self._fingerprint(files[index], states) != cursor["fingerprint"]:
            raise SourceError(
                f"{self._inputs.shown(files[index])} changed while the run was reading it. Start a new run, and let "
                "files grow under another name until they are complete."
            )

    def _fingerprint(self, file: StoredFile, states: _States) -> str:
        """Return the size and the storage's mark of the content; or else the hash of the first and last 64 KiB, which a
        writer can hardly leave as they were.

        Computed anew only where the storage says that the file was written to."""
        state = states.of(file)
        if state is not None and state.tag is not None:
            return f"{state.size}-{state.tag}"
        known = self._fingerprints.get(file.shown)
        if known is not None and state is not None and known[0] == state.version:
            return known[1]
        with self._inputs.trouble(file), file.opened() as (stream, state):
            digest = hashlib.blake2b(stream.read(_HEAD), digest_size=12)
            stream.seek(max(state.size - _HEAD, 0))
            digest.update(stream.read(_HEAD))
        fingerprint = f"{state.size}-{digest.hexdigest()}"
        self._fingerprints[file.shown] = (state.version, fingerprint)
        return fingerprint

    def _state(self, file: StoredFile) -> FileState | None:
        with self._inputs.trouble(file):
            return file.state()

    @contextmanager
    def _open(self, file: StoredFile, state: FileState | None) -> Iterator[OpenFile]:
        """Open a file, or take it as the page before left it. Where finding a place in it takes time, it stays open for
        the next page. It is closed where reading fails."""
        kept = self._taken(file.shown, state)
        try:
            with self._inputs.trouble(file):
                if kept is None:
                    kept = self._opened(file)
                yield kept.file
        except BaseException:
            if kept is not None:
                kept.closing.close()
            raise
        self._kept_open.append(kept)
        costly = self._compression is not None or not isinstance(self._reader, TextReading) or not self._near
        while len(self._kept_open) > (1 if costly and not self._closed else 0):
            self._kept_open.pop(0).closing.close()

    def _taken(self, shown: str, state: FileState | None) -> _KeptOpen | None:
        """Return the file that is open, where it is this one and nobody wrote to it."""
        try:
            kept = self._kept_open.pop()
        except IndexError:
            return None
        if state is not None and (kept.shown, kept.version) == (shown, state.version):
            return kept
        kept.closing.close()
        return None

    def _opened(self, file: StoredFile) -> _KeptOpen:
        several = self._inputs.several()
        shown = self._inputs.relative(file) if several else self._location
        prefix = f"{self._inputs.relative(file)} " if several else ""
        with ExitStack() as closing:
            stream, state = closing.enter_context(file.opened())
            content = unpacked(stream, self._compression, shown)
            return _KeptOpen(file.shown, state.version, OpenFile(content, shown, prefix), closing.pop_all())

    def _close_kept(self) -> None:
        while self._kept_open:
            self._kept_open.pop().closing.close()


class _States:
    """Asks a storage once for the state of each file that a page has to do with."""

    def __init__(self, asked: Callable[[StoredFile], FileState | None]) -> None:
        self._asked = asked
        self._known: dict[str, FileState | None] = {}

    def of(self, file: StoredFile) -> FileState | None:
        if file.shown not in self._known:
            self._known[file.shown] = self._asked(file)
        return self._known[file.shown]


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
