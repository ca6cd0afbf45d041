"""Reads any open file by a reader of text: sees that it is text, and in which encoding."""

from __future__ import annotations

from collections.abc import Sequence

from loom_connectors.files.file_kinds import see_that_it_is_text
from loom_connectors.files.format import DivisibleReader, FilePosition, OpenFile, RecordReader, TextFile
from loom_connectors.files.text_lines import encoding_of
from loom_connectors.ports.source import ReadRecord

_HEAD = 64 * 1024


class TextReading:
    """Implements `BinaryReader` by a reader of text."""

    def __init__(self, reader: RecordReader) -> None:
        self._reader = reader

    def check(self, file: OpenFile, keys: Sequence[str]) -> None:
        self._reader.check(self._text(file), keys)

    def read(self, file: OpenFile, mark: FilePosition, limit: int) -> tuple[list[ReadRecord], FilePosition]:
        return self._reader.read(self._text(file), mark, limit)

    def count(self, file: OpenFile) -> int | None:
        return self._reader.count(self._text(file))

    def record_starts(self, file: OpenFile, offsets: Sequence[int]) -> Sequence[FilePosition] | None:
        if not isinstance(self._reader, DivisibleReader):
            return None
        return self._reader.record_starts(self._text(file), offsets)

    def _text(self, file: OpenFile) -> TextFile:
        if not isinstance(file.kept, TextFile):
            file.stream.seek(0)
            head = file.stream.read(_HEAD)
            see_that_it_is_text(head, self._reader.encoding, file.shown)
            file.kept = TextFile(file.stream, file.shown, file.prefix, encoding_of(head, self._reader.encoding))
        file.kept.until = file.until
        return file.kept
