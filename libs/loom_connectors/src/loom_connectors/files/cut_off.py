"""Lets a file seem to end before its end, so that a piece of it is read as a whole file is."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_CHUNK = 256 * 1024


def cut_off(stream: BinaryIO, end: int) -> BinaryIO:
    """Return a stream that ends at byte `end` of `stream`, and moves along in it."""
    return io.BufferedReader(_CutOff(stream, end), _CHUNK)


class _CutOff(io.RawIOBase):
    def __init__(self, stream: BinaryIO, end: int) -> None:
        self._stream, self._end = stream, end

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._stream.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._stream.seek(offset, whence)

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        read = self._stream.read(max(0, min(len(view), self._end - self._stream.tell())))
        view[: len(read)] = read
        return len(read)
