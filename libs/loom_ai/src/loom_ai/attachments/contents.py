"""Finds what a content is by its first bytes, and its measures. A name or a header is not believed. It does no I/O."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator

from loom_common.domain.model_options.attachments import AttachmentKind

_MOST_STREAMS = 5_000
"""The most streams of a PDF that are looked into for pages."""
_MOST_UNPACKED = 4 * 1024 * 1024
"""The most bytes of one stream of a PDF that are unpacked."""
_PAGE = re.compile(rb"/Type\s*/Page(?![a-zA-Z])")
_COUNT = re.compile(
    rb"/Type\s*/Pages(?![a-zA-Z]).{0,400}?/Count\s+(\d{1,6})|/Count\s+(\d{1,6}).{0,400}?/Type\s*/Pages", re.DOTALL
)
_STREAM = re.compile(rb"stream\r?\n")
_JPEG_SIZES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})


def media_type_of(data: bytes) -> tuple[AttachmentKind, str] | None:
    """Return what a content is, and its media type; None where it is nothing that models take."""
    head = data[:16]
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image", "image/png"
    if head.startswith(b"\xff\xd8\xff"):
        return "image", "image/jpeg"
    if head[:6] in (b"GIF87a", b"GIF89a"):
        return "image", "image/gif"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image", "image/webp"
    if b"%PDF-" in data[:1024]:
        return "document", "application/pdf"
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return "audio", "audio/wav"
    if head[:3] == b"ID3" or (head[:1] == b"\xff" and len(head) > 1 and head[1] & 0xE6 == 0xE2):
        return "audio", "audio/mp3"
    if head[:4] == b"fLaC":
        return "audio", "audio/flac"
    if head[:4] == b"OggS":
        return "audio", "audio/ogg"
    return None


def size_of_image(data: bytes, media_type: str) -> tuple[int, int]:
    """Return the width and the height in pixels; zeros where the content does not tell."""
    try:
        match media_type:
            case "image/png":
                return struct.unpack(">II", data[16:24])
            case "image/gif":
                return struct.unpack("<HH", data[6:10])
            case "image/webp":
                return _of_webp(data)
            case "image/jpeg":
                return _of_jpeg(data)
    except (struct.error, IndexError):
        pass
    return 0, 0


def _of_webp(data: bytes) -> tuple[int, int]:
    match data[12:16]:
        case b"VP8X":
            return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
        case b"VP8L":
            bits = int.from_bytes(data[21:25], "little")
            return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        case b"VP8 ":
            width, height = struct.unpack("<HH", data[26:30])
            return width & 0x3FFF, height & 0x3FFF
    return 0, 0


def _of_jpeg(data: bytes) -> tuple[int, int]:
    at = 2
    while at + 9 < len(data):
        if data[at] != 0xFF:
            return 0, 0
        marker = data[at + 1]
        if marker == 0xFF:  # padding
            at += 1
        elif marker in _JPEG_SIZES:
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return width, height
        elif 0xD0 <= marker <= 0xD9 or marker == 0x01:
            at += 2
        else:
            at += 2 + int(struct.unpack(">H", data[at + 2 : at + 4])[0])
    return 0, 0


def pages_of(data: bytes) -> int:
    """Return the number of pages of a PDF, which may be more than there are; 0 where none can be found, as in one that
    is encrypted."""
    pages, most = 0, 0
    for part in (data, *_unpacked(data)):
        pages += len(_PAGE.findall(part))
        most = max([most, *(int(one or other) for one, other in _COUNT.findall(part))])
    return max(pages, most)


def _unpacked(data: bytes) -> Iterator[bytes]:
    """Yield what the streams of a PDF hold, in which newer ones keep their pages."""
    for number, found in enumerate(_STREAM.finditer(data)):
        if number == _MOST_STREAMS:
            return
        if b"/ObjStm" not in data[max(0, found.start() - 300) : found.start()]:
            continue
        try:
            yield zlib.decompressobj().decompress(data[found.end() :], _MOST_UNPACKED)
        except zlib.error:
            continue


def seconds_of(data: bytes, media_type: str) -> float:
    """Return the length of a recording; 0 where the content does not tell."""
    if media_type != "audio/wav" or (at := data.find(b"fmt ", 12, 4096)) < 0 or len(data) < at + 20:
        return 0.0
    rate = int.from_bytes(data[at + 16 : at + 20], "little")
    return len(data) / rate if rate else 0.0
