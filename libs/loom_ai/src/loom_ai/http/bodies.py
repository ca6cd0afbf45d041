"""The body of a response, read up to a limit: of what comes over the wire, and of what it unfolds to."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import aiohttp

MOST_BYTES = 8 * 1024 * 1024
"""More than any model writes. What is larger is no answer."""
ACCEPTED = "gzip, deflate"
"""The compressions that are asked for."""
_EITHER = zlib.MAX_WBITS | 32
"""Gzip or zlib, whichever its first bytes say."""


@dataclass(frozen=True, slots=True)
class Body:
    """What was read."""

    data: bytes
    fault: str | None = None
    """Why that is not all, or not what was sent; None where it is whole."""


async def body_of(response: aiohttp.ClientResponse, most: int = MOST_BYTES) -> Body:
    """The body, unfolded. A response that is larger than `most` bytes is not read further, and its connection is given
    up. Raises what aiohttp raises where the connection breaks."""
    announced = response.content_length
    if announced is not None and announced <= most:
        data = await response.read()
    else:
        data = await _some(response, most + 1)
        if len(data) > most:
            response.close()
    whole = len(data) <= most
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    unfolded = Body(data) if encoding in ("", "identity") else unfold(data, encoding, most)
    if not whole or len(unfolded.data) > most:
        return Body(unfolded.data[:most], f"it is larger than {most // 1024 // 1024} MB")
    return unfolded


def unfold(data: bytes, encoding: str, most: int = MOST_BYTES) -> Body:
    """The bytes that compressed ones stand for; at most one more than `most` of them are made. Pure."""
    if not data:
        return Body(data)
    if encoding not in ("gzip", "x-gzip", "deflate"):
        return Body(data[: most + 1], f"its encoding {encoding[:40]!r} was not asked for")
    try:
        unfolder = zlib.decompressobj(_EITHER)
        return Body(unfolder.decompress(data, most + 1), None if unfolder.eof or _full(unfolder) else "it is cut off")
    except zlib.error:
        pass
    try:  # some servers call raw deflate what should have a header
        return Body(zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, most + 1))
    except zlib.error:
        return Body(data[: most + 1], f"it is not {encoding}, as its header says")


async def _some(response: aiohttp.ClientResponse, most: int) -> bytes:
    pieces, size = [], 0
    async for piece in response.content.iter_any():
        pieces.append(piece)
        size += len(piece)
        if size >= most:
            break
    return b"".join(pieces)[:most]


def _full(unfolder: zlib._Decompress) -> bool:
    """Whether it stopped because it may make no more."""
    return bool(unfolder.unconsumed_tail)
