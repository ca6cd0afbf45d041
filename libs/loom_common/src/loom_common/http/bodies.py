"""Reads and decompresses a response body up to a size limit, which holds for the compressed and the decompressed
bytes."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from loom_common.domain.values.per_record import per_record

if TYPE_CHECKING:
    import aiohttp

MOST_BYTES = 8 * 1024 * 1024
"""The largest body that is read unless the caller says otherwise, in bytes. No model's answer is that long."""
ACCEPTED = "gzip, deflate"
"""The `Accept-Encoding` of requests."""
_EITHER = zlib.MAX_WBITS | 32
"""The zlib window setting that detects gzip and zlib by their first bytes."""


@per_record
class Body:
    """Represents a response body, decompressed."""

    data: bytes
    fault: str | None = None
    """Says why `data` is not the whole body; None where it is."""


async def read_body(response: aiohttp.ClientResponse, most: int = MOST_BYTES) -> Body:
    """Read and decompress the body of a response.

    Of a body above `most` bytes the rest is not read, and its connection is closed. Raises aiohttp's errors where the
    connection breaks."""
    announced = response.content_length
    if announced is not None and announced <= most:
        data = await response.read()
    else:
        data = await _read_up_to(response, most + 1)
        if len(data) > most:
            response.close()
    return body_of(data, response.headers.get("Content-Encoding", ""), most)


def body_of(data: bytes, encoding: str, most: int = MOST_BYTES) -> Body:
    """Return a body as a response's `Content-Encoding` says. `data` has more than `most` bytes where it is not the
    whole body. It does no I/O."""
    encoding = encoding.strip().lower()
    unfolded = Body(data) if encoding in ("", "identity") else decompress(data, encoding, most)
    if len(data) > most or len(unfolded.data) > most:
        return Body(unfolded.data[:most], f"it is larger than {most // 1024 // 1024} MB")
    return unfolded


def decompress(data: bytes, encoding: str, most: int = MOST_BYTES) -> Body:
    """Decompress `data`, producing at most one byte more than `most`. It does no I/O."""
    if not data:
        return Body(data)
    if encoding not in ("gzip", "x-gzip", "deflate"):
        return Body(data[: most + 1], f"its encoding {encoding[:40]!r} was not asked for")
    try:
        unfolder = zlib.decompressobj(_EITHER)
        return Body(
            unfolder.decompress(data, most + 1), None if unfolder.eof or _reached_limit(unfolder) else "it is cut off"
        )
    except zlib.error:
        pass
    try:  # some servers send raw deflate data without the zlib header
        return Body(zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, most + 1))
    except zlib.error:
        return Body(data[: most + 1], f"it is not {encoding}, as its header says")


async def _read_up_to(response: aiohttp.ClientResponse, most: int) -> bytes:
    pieces, size = [], 0
    async for piece in response.content.iter_any():
        pieces.append(piece)
        size += len(piece)
        if size >= most:
            break
    return b"".join(pieces)[:most]


def _reached_limit(unfolder: zlib._Decompress) -> bool:
    """Say whether the decompressor stopped because it reached its output limit."""
    return bool(unfolder.unconsumed_tail)
