"""Writes and reads pieces of stored records, and the list of the pieces.

A piece is JSON Lines, compressed with zstd. A line is a record, or, in brackets, what could be read of a record that
cannot be used, and the reason."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import orjson
import zstandard

from loom_common.domain.json_values.exact_json import dumps, loads
from loom_common.errors import RecordError
from loom_connectors.ports.source import ReadRecord

LARGEST_RECORD = 64 * 1024 * 1024
"""The most bytes of a record's JSON."""
_LEVEL = 1


@dataclass(frozen=True, slots=True)
class Piece:
    """Names a piece of a set of records by its hash, and says how many records it has."""

    name: str
    records: int


@dataclass(frozen=True)
class Pieces:
    """Lists the pieces of a set of records in their order."""

    pieces: Sequence[Piece]

    @cached_property
    def ends(self) -> list[int]:
        """Return, for each piece, the number of records up to its end."""
        return list(accumulate(piece.records for piece in self.pieces))

    @property
    def records(self) -> int:
        """Return the number of all records."""
        return self.ends[-1] if self.ends else 0

    def at(self, record: int) -> int:
        """Return which piece holds a record, both numbered from 0."""
        return bisect.bisect_right(self.ends, record)

    def start(self, piece: int) -> int:
        """Return the number of records before a piece."""
        return self.ends[piece] - self.pieces[piece].records

    def encoded(self) -> bytes:
        """Return the list as it is stored."""
        return packed(orjson.dumps([[piece.name, piece.records] for piece in self.pieces]))

    @staticmethod
    def decoded(data: bytes) -> Pieces:
        """Return the list that `encoded` wrote. Raises `ValueError` for anything else."""
        return Pieces([Piece(str(name), int(records)) for name, records in orjson.loads(unpacked(data))])


def packed(data: bytes) -> bytes:
    """Return the data compressed by Zstandard."""
    return zstandard.compress(data, _LEVEL)


def unpacked(data: bytes) -> bytes:
    """Return what was compressed. Raises `ValueError` where nothing was."""
    try:
        return zstandard.decompress(data)
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from error


def line_of(record: ReadRecord) -> bytes:
    """Return the line of a record."""
    if record.error is None:
        return dumps(record.data)
    error = record.error
    return dumps([record.data, str(error), error.code, error.details])


def record_of(line: bytes, number: int) -> ReadRecord:
    """Return the record of a line, which is the one of this number, from 1."""
    position = f"record {number}"
    found = loads(line.decode())
    if isinstance(found, dict):
        return ReadRecord(position, found)
    data, words, code, details = found
    return ReadRecord(position, data, RecordError(words, code=code, details=details))
