"""Reads the records in the body of a request, by the readers of files: the body is kept in a temporary file, so that
its size does not matter to memory."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.message import Message
from tempfile import TemporaryFile
from typing import BinaryIO

from loom_common.errors import ConfigurationError
from loom_connectors.files.format import FilePosition, OpenFile
from loom_connectors.files.reading.text_reading import TextReading
from loom_connectors.formats.csv import CsvFormat
from loom_connectors.formats.json_array import JsonArrayFormat
from loom_connectors.formats.jsonl import JsonLinesFormat
from loom_connectors.ports.source import ReadRecord

MEDIA_TYPES: Mapping[str, type[JsonArrayFormat] | type[JsonLinesFormat] | type[CsvFormat]] = {
    "application/json": JsonArrayFormat,
    "application/x-ndjson": JsonLinesFormat,
    "application/jsonl": JsonLinesFormat,
    "text/csv": CsvFormat,
}
_PAGE = 500
_CHUNK = 1 << 20


class UnknownMediaType(ConfigurationError):
    """Reports a body that is none of the kinds that records are read from."""


@dataclass(frozen=True, slots=True)
class RecordBody:
    """Holds the body of a request that gives records."""

    stream: BinaryIO
    hash: str
    reader: TextReading

    async def records(self) -> AsyncGenerator[ReadRecord, None]:
        """Yield the records; what cannot be read as one has the error that keeps it back. Raises `SourceError` where
        the body as a whole cannot be read, and `ConfigurationError` where it has no record."""
        file, mark, number = OpenFile(self.stream, "the body", ""), FilePosition(), 0
        while True:
            page, mark = await asyncio.to_thread(self.reader.read, file, mark, _PAGE)
            number += len(page)
            for record in page:
                yield record
            if mark.offset >= file.size:
                break
        if not number:
            raise ConfigurationError("The body has no record.")


@asynccontextmanager
async def received(chunks: AsyncIterator[bytes], media_type: str) -> AsyncIterator[RecordBody]:
    """Receive a body. Raises `UnknownMediaType`, and what `chunks` raises."""
    reader = _reader_of(media_type)
    said = hashlib.sha256()
    with TemporaryFile() as stream:
        held = bytearray()
        async for chunk in chunks:
            said.update(chunk)
            held += chunk
            if len(held) >= _CHUNK:
                await asyncio.to_thread(stream.write, bytes(held))
                held.clear()
        stream.write(held)
        yield RecordBody(stream, said.hexdigest(), reader)


def _reader_of(media_type: str) -> TextReading:
    read = Message()
    read["content-type"] = media_type
    kind, charset = read.get_content_type(), read.get_content_charset()
    found = MEDIA_TYPES.get(kind) if media_type else None
    if found is None:
        known = ", ".join(MEDIA_TYPES)
        raise UnknownMediaType(f"Records come as one of {known} in Content-Type; this is {media_type[:100] or 'none'}.")
    return TextReading(found().reader({"encoding": charset} if charset else {}))
