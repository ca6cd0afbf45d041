"""Sources that are files: which ones, in which order, and where reading stands in them.

A format (CSV, JSON Lines) knows the records of one open file; everything about several files, cursors and
files that change under a run is here."""

from __future__ import annotations

import asyncio
import glob
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from loom_common.domain.definition.pipeline import ExtractConfig
from loom_common.errors import ConfigurationError, SourceError
from loom_connectors.ports import SAMPLE, ConnectorContext, Fields, Page, ReadRecord
from loom_connectors.storage.file_kinds import see_that_it_is_text
from loom_connectors.storage.local import file_trouble, host, resolved
from loom_connectors.storage.text_lines import Encoding, Lines, encoding_of

_HEAD = 64 * 1024
_CHEAP_TO_COUNT = 64 * 1024 * 1024
"""Bytes of all files together that are read through to count their records (about a second)."""


@dataclass(frozen=True, slots=True)
class FilePosition:
    """A place between two records of a file: bytes and lines before it."""

    offset: int = 0
    line: int = 0


@dataclass(frozen=True, slots=True)
class TextFile:
    """An open file."""

    stream: BinaryIO
    shown: str
    """How messages name it."""
    prefix: str
    """What stands before `line 17` in a record's position: the file's name where there may be several."""
    encoding: Encoding
    size: int

    def lines(self, mark: FilePosition) -> Lines:
        """Its lines from `mark` on."""
        return Lines(self.stream, self.encoding, self.shown, mark.offset, mark.line)


class Format(Protocol):
    """What is in a file."""

    encoding: str | None
    """As declared by the user."""

    def check(self, file: TextFile, keys: Sequence[str]) -> None:
        """See that it begins as it should. Raises `SourceError`, `ConfigurationError`."""
        ...

    def read(self, file: TextFile, mark: FilePosition, limit: int) -> tuple[list[ReadRecord], FilePosition]:
        """At most `limit` records from `mark` on, and the mark after them."""
        ...

    def count(self, file: TextFile) -> int | None:
        """How many records there are; None where that would take care to tell."""
        ...


class FileSource:
    """One file, or all that match a pattern, in the order of their names."""

    def __init__(self, config: ExtractConfig, surroundings: ConnectorContext, form: Format) -> None:
        if config.query is not None:
            raise ConfigurationError(
                f"extract.query is for databases; {config.source} is read as a file. Remove `query`."
            )
        self._location = config.source
        self._folder = surroundings.folder
        written = surroundings.credentials.expand(config.source)
        self._path = resolved(written, surroundings.folder)
        self._pattern = pattern(written, surroundings.folder) if glob.has_magic(written) else None
        self._keys = config.keys
        self._format = form
        self._fingerprints: dict[Path, tuple[tuple[int, ...], str]] = {}

    async def check(self) -> None:
        await asyncio.to_thread(self._check)

    async def count(self) -> int | None:
        return await asyncio.to_thread(self._count)

    async def fields(self) -> Fields | None:
        return fields_of(await self.read(None, SAMPLE))

    async def read(self, cursor: Any, limit: int) -> Page:
        return await asyncio.to_thread(self._page, cursor, limit)

    async def close(self) -> None:
        return

    def _check(self) -> None:
        for path in self._paths():
            with self._open(path) as file:
                self._format.check(file, self._keys)

    def _count(self) -> int | None:
        total, paths = 0, self._paths()
        with file_trouble(self._path, SourceError, self._remedy):
            if sum(path.stat().st_size for path in paths) > _CHEAP_TO_COUNT:
                return None
        for path in paths:
            with self._open(path) as file:
                found = self._format.count(file)
            if found is None:
                return None
            total += found
        return total

    def _page(self, cursor: Any, limit: int) -> Page:
        paths = self._paths()
        index, mark = 0, FilePosition()
        if cursor is not None:
            index, mark = cursor["file"], FilePosition(cursor["offset"], cursor["line"])
            self._see_that_it_is_unchanged(paths, cursor)
        records: list[ReadRecord] = []
        while index < len(paths) and len(records) < limit:
            with self._open(paths[index]) as file:
                found, mark = self._format.read(file, mark, limit - len(records))
                records += found
                if mark.offset >= file.size:
                    index, mark = index + 1, FilePosition()
        return Page(records, self._cursor(paths, index, mark), end=index >= len(paths))

    def _cursor(self, paths: Sequence[Path], index: int, mark: FilePosition) -> dict[str, Any]:
        begun = index < len(paths)
        return {
            "file": index,
            "name": self._name(paths[index]) if begun else None,
            "offset": mark.offset,
            "line": mark.line,
            "fingerprint": self._fingerprint(paths[index]) if begun else None,
        }

    def _see_that_it_is_unchanged(self, paths: Sequence[Path], cursor: Mapping[str, Any]) -> None:
        if cursor["name"] is None:
            return
        index = cursor["file"]
        name = self._name(paths[index]) if index < len(paths) else "nothing"
        if name != cursor["name"]:
            raise SourceError(
                f"{self._path} on {host()}: where {cursor['name']} stood in the order of files, {name} stands now. "
                "Files came or went while the run was reading; start a new run."
            )
        if self._fingerprint(paths[index]) != cursor["fingerprint"]:
            raise SourceError(
                f"{paths[index]} on {host()} changed while the run was reading it. Start a new run, and let files "
                "grow under another name until they are complete."
            )

    def _fingerprint(self, path: Path) -> str:
        """Size and hash of the first and last 64 KiB: what a writer can hardly leave as it was.

        Computed anew only where the file system says that the file was written to."""
        with file_trouble(path, SourceError, self._remedy), path.open("rb") as stream:
            stat = os.fstat(stream.fileno())
            state = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
            if (known := self._fingerprints.get(path)) and known[0] == state:
                return known[1]
            digest = hashlib.blake2b(stream.read(_HEAD), digest_size=12)
            stream.seek(max(stat.st_size - _HEAD, 0))
            digest.update(stream.read(_HEAD))
        fingerprint = f"{stat.st_size}-{digest.hexdigest()}"
        self._fingerprints[path] = (state, fingerprint)
        return fingerprint

    @contextmanager
    def _open(self, path: Path) -> Iterator[TextFile]:
        several = self._several()
        shown = self._name(path) if several else self._location
        with file_trouble(path, SourceError, self._remedy), path.open("rb") as stream:
            head = stream.read(_HEAD)
            see_that_it_is_text(head, self._format.encoding, shown)
            yield TextFile(
                stream,
                shown=shown,
                prefix=f"{self._name(path)} " if several else "",
                encoding=encoding_of(head, self._format.encoding),
                size=os.fstat(stream.fileno()).st_size,
            )

    def _name(self, path: Path) -> str:
        return path.relative_to(self._folder).as_posix() if path.is_relative_to(self._folder) else str(path)

    def _paths(self) -> list[Path]:
        if not self._several():
            return [self._path]
        matches = glob.glob(self._pattern or "", recursive=True)  # noqa: PTH207  # leaves hidden files out, unlike Path.glob
        paths = sorted(path for path in map(Path, matches) if path.is_file())
        if not paths:
            raise SourceError(f"{self._path} on {host()}: no file matches. {self._remedy}")
        return paths

    def _several(self) -> bool:
        """Whether a pattern is meant: a file may be called `d[1].csv`."""
        return self._pattern is not None and not self._path.exists()

    @property
    def _remedy(self) -> str:
        return (
            f"Put the file there, or correct extract.source ('{self._location}', relative to the pipeline's folder "
            f"{self._folder.absolute()})."
        )


def pattern(written: str, folder: Path) -> str:
    """What `written` matches below `folder`, whose own name is no pattern."""
    inside = Path(written).expanduser()
    return str(inside) if inside.is_absolute() else str(Path(glob.escape(str(folder.absolute()))) / inside)


def fields_of(page: Page) -> Fields | None:
    """What the first records of a source tell of its fields; None where none of them can be used."""
    shapes = [tuple(record.data) for record in page.records if record.error is None]
    if not shapes:
        return None
    names = tuple(dict.fromkeys(name for shape in shapes for name in shape))
    return Fields(names, certain=page.end or len({frozenset(shape) for shape in shapes}) == 1)
