"""Reads and writes files that are compressed with gzip, Zstandard or bzip2, in constant memory."""

from __future__ import annotations

import bz2
import gzip
import io
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, BinaryIO, Generic, TypeVar, cast

import zstandard

from loom_common.errors import SourceError
from loom_connectors.files.format import FileWriter, RowWriter, TextWriter
from loom_connectors.files.storage import FileState, Opened, StoredFile
from loom_connectors.ports.destination import FailedRow, Row

_CHUNK = 256 * 1024
_FREE = 256 * 1024 * 1024
"""The number of unpacked bytes from which on a file may be refused for how much it unpacks to."""
MOST = 1000
"""The most bytes that one byte of a file may unpack to. Text of any use is far below."""
_WIDEST_WINDOW = 128 * 1024 * 1024
"""The most memory that a Zstandard file may ask for, in bytes."""


@dataclass(frozen=True, slots=True)
class Compression:
    """Represents one way to compress. Files that are written one after the other unpack to their texts in this
    order."""

    name: str
    unpacked: Callable[[BinaryIO], Any]
    """Returns a reader of what a file unpacks to."""
    packed: Callable[[BinaryIO], Any]
    """Returns a writer. The same bytes are packed to the same bytes."""


COMPRESSIONS: Mapping[str, Compression] = MappingProxyType(
    {
        "gz": Compression(
            "gzip",
            lambda source: gzip.GzipFile(fileobj=source, mode="rb"),
            lambda target: gzip.GzipFile(filename="", mode="wb", fileobj=target, compresslevel=6, mtime=0),
        ),
        "zst": Compression(
            "Zstandard",
            lambda source: zstandard.ZstdDecompressor(max_window_size=_WIDEST_WINDOW).stream_reader(
                source, read_across_frames=True, closefd=False
            ),
            lambda target: zstandard.ZstdCompressor().stream_writer(target, closefd=False),
        ),
        "bz2": Compression("bzip2", lambda source: bz2.BZ2File(source, "rb"), lambda target: bz2.BZ2File(target, "wb")),
    }
)
"""Ways to compress by the ending of a file's name, or by the option `compression`."""


class Unpacked(io.RawIOBase):
    """Reads what a compressed file unpacks to. To go back, it begins anew."""

    def __init__(self, packed: BinaryIO, compression: Compression, shown: str) -> None:
        super().__init__()
        self._packed, self._compression, self._shown = packed, compression, shown
        self._reader = compression.unpacked(packed)
        self._at = 0
        self._size: int | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        piece = self._next(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a byte. Beyond the end is the end."""
        if whence == io.SEEK_END and self._size is None:
            while self._next(_CHUNK):
                pass
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size or 0}[whence]
        wanted = start + offset
        if wanted < self._at:
            self._packed.seek(0)
            self._reader, self._at = self._compression.unpacked(self._packed), 0
        while self._at < wanted and self._next(min(_CHUNK, wanted - self._at)):
            pass
        return self._at

    def _next(self, most: int) -> bytes:
        try:
            piece = cast("bytes", self._reader.read(most))
        except (EOFError, zlib.error, zstandard.ZstdError) as error:
            raise self._damaged(error) from error
        except OSError as error:
            if error.errno is not None:
                raise
            raise self._damaged(error) from error
        self._at += len(piece)
        if not piece:
            self._size = self._at
        elif self._at > _FREE and self._at > MOST * self._packed.tell():
            raise SourceError(
                f"{self._shown} unpacks to more than {MOST:,} times its size, as a file does that is made to fill "
                "memory or disk. Where it is right, unpack it yourself and name the unpacked file."
            )
        return piece

    def _damaged(self, error: Exception) -> SourceError:
        return SourceError(
            f"{self._shown} cannot be unpacked with {self._compression.name} beyond byte {self._at:,} of its content: "
            f"{error}. It may be cut off, or be compressed otherwise: compare its size with the original's, or name "
            "what it is: `options: {compression: ...}`."
        )


def unpacked(stream: BinaryIO, compression: str | None, shown: str) -> BinaryIO:
    """Return a stream of what `stream` unpacks to; itself where it is not compressed."""
    if compression is None:
        return stream
    return io.BufferedReader(Unpacked(stream, COMPRESSIONS[compression], shown), _CHUNK)


@dataclass(frozen=True, slots=True)
class UnpackedFile:
    """Represents a compressed file as what it unpacks to."""

    packed: StoredFile
    compression: str

    @property
    def name(self) -> str:
        return self.packed.name

    @property
    def shown(self) -> str:
        return self.packed.shown

    def state(self) -> FileState | None:
        return self.packed.state()

    @contextmanager
    def opened(self) -> Iterator[Opened]:
        with self.packed.opened() as (stream, state):
            yield Opened(unpacked(stream, self.compression, self.packed.shown), state)


def packing(writer: RowWriter | TextWriter, compression: str) -> RowWriter | TextWriter:
    """Return a writer that writes the same compressed."""
    return _PackedRows(writer, compression) if isinstance(writer, RowWriter) else _PackedWhole(writer, compression)


W = TypeVar("W", bound=FileWriter)


class _Packed(Generic[W]):
    """Writes a file of text compressed."""

    def __init__(self, writer: W, compression: str) -> None:
        self._writer = writer
        self._compression = compression

    def part(self, rows: Sequence[Row]) -> tuple[bytes, list[FailedRow]]:
        return self._writer.part(rows)

    def replacement(self, pieces: Sequence[StoredFile], target: BinaryIO) -> None:
        with COMPRESSIONS[self._compression].packed(target) as packed:
            self._writer.replacement(pieces, packed)

    def see_existing(self, existing: StoredFile, columns: Sequence[str]) -> None:
        self._writer.see_existing(self._seen(existing), columns)

    def fit(self, existing: StoredFile, rows: Sequence[Row]) -> tuple[list[Row], list[FailedRow]]:
        return self._writer.fit(self._seen(existing), rows)

    def _seen(self, existing: StoredFile) -> StoredFile:
        return UnpackedFile(existing, self._compression)


class _PackedRows(_Packed[RowWriter]):
    """Adds rows as a second compressed file at the end of the first."""

    def addition(self, pieces: Sequence[StoredFile], existing: StoredFile, target: BinaryIO) -> None:
        with COMPRESSIONS[self._compression].packed(target) as packed:
            self._writer.addition(pieces, self._seen(existing), packed)


class _PackedWhole(_Packed[TextWriter]):
    """Adds rows by writing the file anew."""

    encoding: str | None = None

    def merged(self, pieces: Sequence[StoredFile], existing: StoredFile, target: BinaryIO) -> None:
        with COMPRESSIONS[self._compression].packed(target) as packed:
            self._writer.merged(pieces, self._seen(existing), packed)
