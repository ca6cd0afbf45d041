"""Reads how a file that is to be added to is written, seen as a source sees it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from loom_common.errors import DestinationError, SourceError
from loom_connectors.files.file_kinds import see_that_it_is_text
from loom_connectors.files.format import TextFile
from loom_connectors.files.storage import StoredFile
from loom_connectors.files.text_lines import encoding_of

_HEAD = 64 * 1024
READ_THROUGH = 64 * 1024 * 1024
"""Bytes of a file that is read through before a run adds to it (about a second)."""


@contextmanager
def opened(existing: StoredFile, declared: str | None) -> Iterator[TextFile]:
    """Open the file as text. What a source would refuse is a `DestinationError` here."""
    with existing.opened() as (stream, _):
        head = stream.read(_HEAD)
        try:
            see_that_it_is_text(head, declared, existing.shown)
            yield TextFile(stream, existing.shown, "", encoding_of(head, declared))
        except SourceError as error:
            raise DestinationError(f"{error} So nothing can be appended to it; name another file.") from error


def line_is_open(file: TextFile) -> bool:
    """Tell whether the last line lacks its end."""
    codec = file.encoding.codec
    width = len("\n".encode(codec))
    size = file.size
    if size - file.encoding.start < width:
        return size > file.encoding.start
    file.stream.seek(size - width)
    return file.stream.read(width) not in ("\n".encode(codec), "\r".encode(codec))
