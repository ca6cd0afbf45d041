"""Recognises files that are not the text that their name says: their first bytes tell what they are instead."""

from __future__ import annotations

import codecs
import re

from loom_common.errors import SourceError
from loom_connectors.files.text_lines import MARKS

_CONVERT = "Convert it to UTF-8 text with one record a line, and name that file."
_UNPACK = "Unpack it ({how}), and name the unpacked file."
_PACKED = "Say how it is packed: `options: {{compression: {name}}}`, or unpack it ({how})."
_SAY = "Say what it is: `options: {{format: {name}}}`."
_BINARY: tuple[tuple[bytes, str, str], ...] = (
    (b"\x1f\x8b", "gzip", _PACKED.format(name="gz", how="`gunzip -k`")),
    (b"\x28\xb5\x2f\xfd", "Zstandard", _PACKED.format(name="zst", how="`zstd -d`")),
    (b"\xfd7zXZ\x00", "xz", _UNPACK.format(how="`xz -dk`")),
    (b"7z\xbc\xaf\x27\x1c", "7z", _UNPACK.format(how="`7z x`")),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel workbook (.xls)", "Save the sheet as CSV UTF-8."),
    (b"SQLite format 3\x00", "a SQLite database", "Name it as `sqlite:///file.db?table=...`."),
    (b"Obj\x01", "an Avro file", _CONVERT),
    (b"ARROW1\x00", "an Arrow file", _SAY.format(name="arrow")),
    (b"%PDF-", "a PDF document", _CONVERT),
)
_BZIP2 = re.compile(rb"BZh[1-9]1AY&SY")
_MARKUP = re.compile(rb"\s*<(!doctype\s+html|html|head|body|\?xml|svg)\b", re.IGNORECASE)
_POINTER = b"version https://git-lfs.github.com/spec/"
_WIDE = ("utf-16", "utf-32")


def see_that_it_is_text(head: bytes, declared: str | None, shown: str) -> None:
    """Look at the first bytes of a file. Raises `SourceError` for what is no text, or text in another encoding than
    `declared`, with what a person would advise."""
    found = _other_kind(head)
    if found is not None:
        what, remedy = found
        raise SourceError(f"{shown} is {what}, whatever its name says. {remedy}")
    if (words := _other_encoding(head, declared)) is not None:
        raise SourceError(f"{shown} {words}")


def _other_kind(head: bytes) -> tuple[str, str] | None:
    for magic, what, remedy in _BINARY:
        if head.startswith(magic):
            return (f"compressed with {what}" if "npack" in remedy else what), remedy
    if _BZIP2.match(head):
        return "compressed with bzip2", _PACKED.format(name="bz2", how="`bunzip2 -k`")
    if head.startswith(b"PK\x03\x04"):
        if b"[Content_Types].xml" in head or b"xl/" in head:
            return "an Excel workbook (.xlsx)", f"{_SAY.format(name='xlsx')} Or save the sheet as CSV UTF-8."
        return "a zip archive", _UNPACK.format(how="`unzip`")
    if head.startswith(b"PAR1") and b"\0" in head:
        return "a Parquet file", _SAY.format(name="parquet")
    if head.startswith(_POINTER):
        return "a pointer of Git LFS, not the file itself", "Fetch the file: `git lfs pull`."
    if match := _MARKUP.match(head.removeprefix(codecs.BOM_UTF8)):
        what = "an XML document" if match[1].startswith((b"?", b"s")) else "an HTML page"
        return what, "A download may have answered with an error or a sign-in page: open it, and fetch the data again."
    return None


def _other_encoding(head: bytes, declared: str | None) -> str | None:
    for mark, marked in MARKS:
        if head.startswith(mark):
            if declared is None or marked.startswith(declared.removesuffix("-sig")):
                return None
            return (
                f"begins with the byte order mark of {marked}, and is declared to be {declared}. Remove "
                "`options: {encoding: ...}`."
            )
    zeros = head.count(0)
    if declared is not None and declared.startswith(_WIDE):
        if zeros or not head:
            return None
        return f"is declared to be {declared}, but has no zero byte. Correct `options: {{encoding: ...}}`."
    if zeros * 3 < len(head) or len(head) < 4:
        return None
    return (
        f"looks like {_wide_codec(head)} without a byte order mark: every second byte or more is zero. "
        f"Set `options: {{encoding: {_wide_codec(head)}}}`."
    )


def _wide_codec(head: bytes) -> str:
    even, odd = head[::2].count(0), head[1::2].count(0)
    if head.count(0) * 3 > len(head) * 2:
        return "utf-32-le" if head[0] else "utf-32-be"
    return "utf-16-le" if odd > even else "utf-16-be"
