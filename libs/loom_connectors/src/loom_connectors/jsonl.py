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
from loom_common.errors import RecordError
from loom_connectors.files import FileSource, Mark, TextFile
from loom_connectors.lines import usable
from loom_connectors.options import NoOptions, Options, options_of
from loom_connectors.parts import FileDestination
from loom_connectors.ports import ReadRecord, Surroundings


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
        """Any file may hold JSON lines: what does not is the record's own trouble."""

    def read(self, file: TextFile, mark: Mark, limit: int) -> tuple[list[ReadRecord], Mark]:
        records: list[ReadRecord] = []
        lines, prefix = file.lines(mark), f"{file.prefix}line "
        for text in lines:
            if lines.trouble is not None:
                records.append(ReadRecord(prefix + str(lines.number), {"raw": text.rstrip("\r\n")}, lines.trouble))
                lines.trouble = None
            elif not text.isspace():
                records.append(_record(file, prefix, lines.number, text))
            if len(records) >= limit:
                break
        return records, Mark(lines.offset, lines.number)

    def count(self, file: TextFile) -> int:
        return sum(not text.isspace() for text in file.lines(Mark()))


def _record(file: TextFile, prefix: str, line: int, text: str) -> ReadRecord:
    position = prefix + str(line)
    try:
        value = orjson.loads(text)
    except json.JSONDecodeError as error:
        code, words = "bad_json", f"{line} column {error.colno}: {error.msg}."
    else:
        if isinstance(value, dict):
            return ReadRecord(position, value)
        code, words = "bad_json", f"{line} column 1: {_kind(value)}, expected an object in braces."
    where = {"line": line}
    error_here = RecordError(f"{file.shown} line {words}", code=code, details=where)
    return ReadRecord(position, {"raw": text.rstrip("\r\n")}, error_here)


def _kind(value: Any) -> str:
    names = {list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


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
