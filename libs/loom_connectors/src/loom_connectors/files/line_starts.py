"""Finds where lines begin near given byte offsets, and counts the lines before them, without decoding the file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import BinaryIO

from loom_connectors.files.format import FilePosition, TextFile
from loom_connectors.files.text_lines import LONGEST_LINE

_CHUNK = 256 * 1024
_FEED = b"\n"


class LineTooLong(Exception):  # this is no error of the program: the file is then read as one piece
    """A line is longer than a record may be."""


def whole_lines(stream: BinaryIO, offset: int) -> Iterator[bytes]:
    """Yield the file from byte `offset` on, a line's beginning, in chunks of some whole lines. Raises `LineTooLong`."""
    stream.seek(offset)
    rest: list[bytes] = []
    size = 0
    while data := stream.read(_CHUNK):
        end = data.rfind(_FEED) + 1
        if end:
            yield b"".join([*rest, data[:end]])
            rest, size = [data[end:]], 0
        else:
            rest.append(data)
        size += len(data) - end
        if size > LONGEST_LINE:
            raise LineTooLong
    if any(rest):
        yield b"".join(rest)


def line_starts(file: TextFile, first: FilePosition, offsets: Sequence[int]) -> list[FilePosition] | None:
    """Return, for each of these ascending byte offsets, the first line at or after it that begins after the line at
    `first`; None where lines do not end in a single byte, or one of them is too long."""
    if file.encoding.newline != _FEED:
        return None
    found: list[FilePosition] = []
    waiting = list(offsets)
    offset, line = first.offset, first.line
    try:
        for chunk in whole_lines(file.stream, offset):
            while waiting and waiting[0] <= offset + len(chunk):
                at = chunk.find(_FEED, max(waiting.pop(0) - offset - 1, 0)) + 1
                place = FilePosition(offset + at, line + chunk.count(_FEED, 0, at))
                if at and place.offset < file.size and place not in found:
                    found.append(place)
            if not waiting:
                break
            offset, line = offset + len(chunk), line + chunk.count(_FEED)
    except LineTooLong:
        return None
    return found
