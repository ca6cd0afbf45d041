"""Reads the records in the body of a request, by the readers of files. A large body is kept in a temporary file, so
that its size does not matter to memory."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from email.message import Message
from functools import lru_cache
from io import BytesIO
from tempfile import TemporaryFile
from typing import BinaryIO

from loom_common.errors import ConfigurationError, RecordError, SourceError
from loom_connectors.files.format import FilePosition, OpenFile
from loom_connectors.files.reading.text_reading import TextReading
from loom_connectors.files.text_lines import LONGEST_LINE
from loom_connectors.formats.csv import CsvFormat
from loom_connectors.formats.json_array import JsonArrayFormat
from loom_connectors.formats.json_records import Unfit, object_of
from loom_connectors.formats.jsonl import JsonLinesFormat
from loom_connectors.ports.source import ReadRecord

MEDIA_TYPES: Mapping[str, type[JsonArrayFormat] | type[JsonLinesFormat] | type[CsvFormat]] = {
    "application/json": JsonArrayFormat,
    "application/x-ndjson": JsonLinesFormat,
    "application/jsonl": JsonLinesFormat,
    "text/csv": CsvFormat,
}
_PAGE = 500
_KEPT = 64 * 1024
"""The number of characters that are kept of a body that is no record."""
_CHUNK = 1 << 20
"""The number of bytes of a body that are held in memory."""
_SHORT = 16 * 1024
"""The number of bytes that are read faster than a thread is told to read them."""


class UnknownMediaType(ConfigurationError):
    """Reports a body that is none of the kinds that records are read from."""


@dataclass(frozen=True, slots=True)
class RecordBody:
    """Holds the body of a request that gives records."""

    stream: BinaryIO
    hash: str
    reader: TextReading
    is_json: bool = False

    @property
    def size(self) -> int:
        """Return the number of its bytes."""
        return self.stream.seek(0, os.SEEK_END)

    async def records(self) -> AsyncGenerator[ReadRecord, None]:
        """Yield the records; what cannot be read as one has the error that keeps it back. Raises `SourceError` where
        the body as a whole cannot be read, and `ConfigurationError` where it has no record."""
        short = self.size <= _SHORT
        if self.is_json and (one := self._one() if short else await asyncio.to_thread(self._one)) is not None:
            yield one
            return
        file, mark, number = OpenFile(self.stream, "the body", ""), FilePosition(), 0
        while True:
            read = (file, mark, _PAGE)
            page, mark = self.reader.read(*read) if short else await asyncio.to_thread(self.reader.read, *read)
            number += len(page)
            for record in page:
                yield record
            if mark.offset >= file.size:
                break
        if not number:
            raise ConfigurationError("The body has no record.")

    def _one(self) -> ReadRecord | None:
        """Return the record that the body is, where it is one JSON object and no array. What is none has the error that
        keeps it back. Raises `SourceError` where it is longer than a record may be."""
        self.stream.seek(0)
        text = self.stream.read(LONGEST_LINE + 1).lstrip()
        if not text.startswith(b"{"):
            return None
        if len(text) > LONGEST_LINE:
            raise SourceError(
                f"The body is one JSON object of more than {LONGEST_LINE:,} bytes, which no record may be."
            )
        try:
            return ReadRecord("the body", object_of(text.decode()))
        except UnicodeDecodeError as error:
            words = f"byte {error.start + 1} is no UTF-8."
            return _kept_back(text, Unfit("encoding", words))
        except Unfit as unfit:
            return _kept_back(text, unfit)


def _kept_back(text: bytes, unfit: Unfit) -> ReadRecord:
    column = "" if unfit.column is None else f" column {unfit.column}"
    error = RecordError(f"the body{column}: {unfit}", code=unfit.code)
    return ReadRecord("the body", {"raw": text.decode("utf-8", "backslashreplace")[:_KEPT]}, error)


@asynccontextmanager
async def received(chunks: AsyncIterator[bytes], media_type: str) -> AsyncIterator[RecordBody]:
    """Receive a body. Raises `UnknownMediaType`, and what `chunks` raises."""
    kind, charset = _said(media_type)
    if (found := MEDIA_TYPES.get(kind)) is None:
        known = ", ".join(MEDIA_TYPES)
        raise UnknownMediaType(f"Records come as one of {known} in Content-Type; this is {media_type[:100] or 'none'}.")
    reader = TextReading(found().reader({"encoding": charset} if charset else {}))
    hashed = hashlib.sha256()
    held = bytearray()
    with ExitStack() as files:
        file: BinaryIO | None = None
        async for chunk in chunks:
            hashed.update(chunk)
            held += chunk
            if len(held) >= _CHUNK:
                file = file or files.enter_context(TemporaryFile())
                await asyncio.to_thread(file.write, bytes(held))
                held.clear()
        if file is not None:
            file.write(held)
        stream = file or BytesIO(held)
        yield RecordBody(stream, hashed.hexdigest(), reader, is_json=kind == "application/json")


@lru_cache(maxsize=100)
def _said(media_type: str) -> tuple[str, str | None]:
    """Return the kind of a body and its encoding, as its `Content-Type` says them; no kind where there is none."""
    if not media_type:
        return "", None
    read = Message()
    read["content-type"] = media_type
    return read.get_content_type(), read.get_content_charset()
