"""Makes small images, documents and recordings with the measures that tests need."""

from __future__ import annotations

import struct
import zlib


def png(width: int = 2, height: int = 2, note: bytes = b"") -> bytes:
    """Return a PNG image of one colour; `note` makes another content of the same picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress((b"\0" + b"\x7f" * width) * height)
    text = chunk(b"tEXt", b"note\0" + note) if note else b""
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + text + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def jpeg(width: int, height: int) -> bytes:
    """Return the beginning of a JPEG image, with its comment and its size."""
    size = b"\xff\xc0" + struct.pack(">HBHHB", 17, 8, height, width, 3) + bytes(9)
    return b"\xff\xd8\xff\xe0" + struct.pack(">H", 16) + bytes(14) + b"\xff\xfe" + struct.pack(">H", 6) + b"word" + size


def pdf(pages: int, *, packed: bool = False) -> bytes:
    """Return the beginning of a PDF of so many pages, which newer ones keep in packed streams."""
    listed = b"".join(b"%d 0 obj << /Type /Page /Parent 1 0 R >> endobj\n" % number for number in range(2, pages + 2))
    tree = b"1 0 obj << /Type /Pages /Count %d >> endobj\n" % pages
    if not packed:
        return b"%PDF-1.4\n" + tree + listed
    return b"%PDF-1.7\n3 0 obj << /Type /ObjStm >> stream\n" + zlib.compress(tree + listed) + b"\nendstream endobj\n"


def wav(seconds: float, rate: int = 8000) -> bytes:
    """Return a recording of silence, of one byte for each sample."""
    samples = bytes([128]) * int(seconds * rate)
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, rate, 1, 8)
    body = form + struct.pack("<4sI", b"data", len(samples)) + samples
    return struct.pack("<4sI4s", b"RIFF", len(body) + 4, b"WAVE") + body
