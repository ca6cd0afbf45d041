"""JSON Lines files, one object a line: a `Source` and a `Destination`."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import orjson
from pydantic import Field, field_validator

from loom_common.domain.pipeline import ExtractConfig, LoadConfig
from loom_common.errors import RecordError, SourceError
from loom_connectors.files import FileSource, Mark, TextFile
from loom_connectors.json_records import Unfit, object_of
from loom_connectors.lines import usable
from loom_connectors.options import NoOptions, Options, options_of
from loom_connectors.parts import FileDestination
from loom_connectors.ports import ReadRecord, Surroundings

_LONGEST_RAW = 64 * 1024
"""Characters that are kept of a line that is no record."""


class JsonLinesOptions(Options):
    """How a JSON Lines file is written."""

    encoding: str | None = Field(None, description="Default: by the byte order mark, else utf-8.")

    @field_validator("encoding")
    @classmethod
    def _usable(cls, value: str | None) -> str | None:
        return None if value is None else usable(value)


def open_source(config: ExtractConfig, surroundings: Surroundings) -> FileSource:
    """A JSON Lines file, or several. Raises `ConfigurationError`."""
    return FileSource(config, surroundings, JsonLinesFormat(options_of(JsonLinesOptions, config.options, "extract")))


def open_destination(config: LoadConfig, surroundings: Surroundings) -> FileDestination:
    """A JSON Lines file. Raises `ConfigurationError`."""
    options_of(NoOptions, config.options, "load")
    return FileDestination(config, surroundings, JsonLinesParts())


class JsonLinesFormat:
    """The records of a JSON Lines file."""

    def __init__(self, options: JsonLinesOptions) -> None:
        self.encoding = options.encoding

    def check(self, file: TextFile, keys: Sequence[str]) -> None:
        _see_lines(file)

    def read(self, file: TextFile, mark: Mark, limit: int) -> tuple[list[ReadRecord], Mark]:
        if mark.offset <= file.encoding.start:
            _see_lines(file)
        records: list[ReadRecord] = []
        lines, prefix = file.lines(mark), f"{file.prefix}line "
        for text in lines:
            if lines.trouble is not None:
                records.append(ReadRecord(prefix + str(lines.number), {"raw": text.rstrip("\r\n")}, lines.trouble))
                lines.trouble = None
            elif not text.isspace():
                try:
                    records.append(ReadRecord(prefix + str(lines.number), object_of(text)))
                except Unfit as unfit:
                    records.append(_kept_back(file, prefix, lines.number, text, unfit))
            else:
                continue
            if len(records) >= limit:
                break
        return records, Mark(lines.offset, lines.number)

    def count(self, file: TextFile) -> int:
        return sum(not text.isspace() for text in file.lines(Mark()))


def _kept_back(file: TextFile, prefix: str, line: int, text: str, unfit: Unfit) -> ReadRecord:
    column = "" if unfit.column is None else f" column {unfit.column}"
    words = f"{file.shown} line {line}{column}: {unfit}"
    error = RecordError(words, code=unfit.code, details={"line": line})
    return ReadRecord(prefix + str(line), {"raw": text.rstrip("\r\n")[:_LONGEST_RAW]}, error)


def _see_lines(file: TextFile) -> None:
    """Raises `SourceError` for a file that is one JSON value over several lines, or one array."""
    lines = (text.strip() for text in file.lines(Mark()))
    first = next(filter(None, lines), "")
    if first[:1] not in ("[", "{"):
        return
    try:
        value = orjson.loads(first)
    except json.JSONDecodeError:
        value = None
    of_records = isinstance(value, list) and value[:1] != [] and isinstance(value[0], dict)
    if first[0] == "[" and (value is None or (of_records and next(filter(None, lines), None) is None)):
        raise SourceError(
            f"{file.shown} is one JSON array; JSON Lines has one object a line. Convert it: "
            "`jq -c '.[]' array.json > lines.jsonl`."
        )
    if first == "{":
        raise SourceError(
            f"{file.shown} has a JSON object over several lines; JSON Lines has one object a line. Convert it: "
            "`jq -c . objects.json > lines.jsonl`."
        )


class JsonLinesParts:
    """How a JSON Lines destination writes the part of a batch, and joins parts into one file."""

    def part(self, rows: Sequence[Mapping[str, Any]]) -> bytes:
        return b"".join(map(_line, rows))

    def join(self, pieces: Sequence[Path], target: BinaryIO) -> None:
        for piece in pieces:
            with piece.open("rb") as stream:
                shutil.copyfileobj(stream, target, 1024 * 1024)
                if stream.tell():  # a file somebody else wrote may lack its last line end
                    stream.seek(-1, io.SEEK_END)
                    target.write(b"" if stream.read(1) == b"\n" else b"\n")


def _line(row: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:  # integers past 64 bits, lone surrogates: valid JSON that orjson does not write
        return json.dumps(row).encode() + b"\n"
