"""Implements JSON Lines files, one object a line, as a `Format`."""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from loom_common.errors import RecordError
from loom_connectors.files.format import FilePosition, FileSourceOptions, TextFile, TextOptions
from loom_connectors.files.line_starts import line_starts
from loom_connectors.formats.json_records import Unfit, object_of, see_lines
from loom_connectors.formats.jsonl_parts import JsonLinesWriter
from loom_connectors.options import options_of
from loom_connectors.ports.source import ReadRecord

_LONGEST_RAW = 64 * 1024
"""The number of characters that are kept of a line that is no record."""


class JsonLinesSourceOptions(TextOptions, FileSourceOptions):
    """Says how a JSON Lines file is written."""


class JsonLinesOptions(TextOptions):
    """Says how a JSON Lines file is written."""


class JsonLinesFormat:
    """Implements JSON Lines as a `Format`."""

    source_options = JsonLinesSourceOptions
    destination_options = JsonLinesOptions

    def reader(self, options: Mapping[str, Any]) -> "JsonLinesReader":
        return JsonLinesReader(options_of(JsonLinesSourceOptions, options, "extract"))

    def writer(self, options: Mapping[str, Any], name: str) -> JsonLinesWriter:
        return JsonLinesWriter(options_of(JsonLinesOptions, options, "load").encoding)


class JsonLinesReader:
    """Reads the records of a JSON Lines file."""

    def __init__(self, options: JsonLinesSourceOptions) -> None:
        self.encoding = options.encoding

    def check(self, file: TextFile, keys: Sequence[str]) -> None:
        see_lines(file)

    def read(self, file: TextFile, mark: FilePosition, limit: int) -> tuple[list[ReadRecord], FilePosition]:
        if mark.offset <= file.encoding.start:
            see_lines(file)
        records: list[ReadRecord] = []
        lines, prefix, number = file.rest(mark), f"{file.prefix}line ", mark.line

        def wanted() -> int:
            lines.pass_to(number)
            return limit - len(records)

        for text in chain.from_iterable(lines.together(wanted)):
            number += 1
            if lines.trouble is not None:
                records.append(ReadRecord(f"{prefix}{number}", {"raw": text.rstrip("\r\n")}, lines.trouble))
                lines.trouble = None
            elif not text.isspace():
                try:
                    records.append(ReadRecord(f"{prefix}{number}", object_of(text)))
                except Unfit as unfit:
                    records.append(_kept_back(file, prefix, number, text, unfit))
            else:
                continue
            if len(records) >= limit:
                break
        lines.pass_to(number)
        return records, FilePosition(lines.offset, lines.number)

    def record_starts(self, file: TextFile, offsets: Sequence[int]) -> Sequence[FilePosition] | None:
        return line_starts(file, FilePosition(file.encoding.start), offsets)

    def count(self, file: TextFile) -> int:
        return sum(not text.isspace() for text in file.lines(FilePosition()))


def _kept_back(file: TextFile, prefix: str, line: int, text: str, unfit: Unfit) -> ReadRecord:
    column = "" if unfit.column is None else f" column {unfit.column}"
    words = f"{file.shown} line {line}{column}: {unfit}"
    error = RecordError(words, code=unfit.code, details={"line": line})
    return ReadRecord(prefix + str(line), {"raw": text.rstrip("\r\n")[:_LONGEST_RAW]}, error)
