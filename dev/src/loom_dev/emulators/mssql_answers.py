"""Makes answers of SQL Server of those of Postgres: values as they travel, and errors with their numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import asyncpg
from pysqlbridge.tds.result import Bit, Column, ColumnType, Float, Integer, NVarChar, QueryResult

_NUMBERS: tuple[tuple[type[asyncpg.PostgresError], int], ...] = (
    (asyncpg.UniqueViolationError, 2627),
    (asyncpg.NotNullViolationError, 515),
    (asyncpg.IntegrityConstraintViolationError, 547),
    (asyncpg.StringDataRightTruncationError, 2628),
    (asyncpg.NumericValueOutOfRangeError, 8115),
    (asyncpg.InvalidTextRepresentationError, 245),
    (asyncpg.InvalidDatetimeFormatError, 241),
    (asyncpg.DatetimeFieldOverflowError, 242),
    (asyncpg.UndefinedTableError, 208),
    (asyncpg.UndefinedColumnError, 207),
    (asyncpg.DuplicateTableError, 2714),
    (asyncpg.DuplicateColumnError, 2705),
    (asyncpg.DeadlockDetectedError, 1205),
    (asyncpg.LockNotAvailableError, 1222),
    (asyncpg.InsufficientPrivilegeError, 229),
    (asyncpg.ReadOnlySQLTransactionError, 3906),
    (asyncpg.RaiseError, 50000),
    (asyncpg.PostgresSyntaxError, 102),
)
_ELSE = 8180
TYPES = {
    "int8": "bigint", "int4": "int", "int2": "smallint", "bool": "bit", "text": "nvarchar(max)",
    "varchar": "nvarchar(4000)", "numeric": "decimal", "float8": "float", "float4": "real", "date": "date",
    "time": "time(6)", "timestamp": "datetime2(6)", "timestamptz": "datetimeoffset(6)", "bytea": "varbinary(max)",
    "uuid": "uniqueidentifier",
}  # fmt: skip


class _MaxBinary(ColumnType):  # type: ignore[misc]  # the package ships no types
    """Encodes VARBINARY(MAX), as chunks."""

    def type_info(self) -> bytes:
        return b"\xa5\xff\xff"

    def encode(self, value: object) -> bytes:
        if value is None:
            return b"\xff" * 8
        assert isinstance(value, bytes)
        chunk = len(value).to_bytes(4, "little") + value if value else b""
        return len(value).to_bytes(8, "little") + chunk + bytes(4)


class _Decimal(ColumnType):  # type: ignore[misc]  # the package ships no types
    """Encodes decimal numbers as SQL Server sends them: 38 digits, of which 10 stand behind the point."""

    def type_info(self) -> bytes:
        return b"\x6a\x11\x26\x0a"

    def encode(self, value: object) -> bytes:
        if value is None:
            return b"\0"
        scaled = int(Decimal(str(value)).scaleb(10))
        return b"\x11" + bytes([scaled >= 0]) + abs(scaled).to_bytes(16, "little")


_WIRE: Mapping[str, ColumnType] = {
    **dict.fromkeys(("int8", "int4", "int2"), Integer(8)),
    "bool": Bit(),
    "float8": Float(8),
    "float4": Float(4),
    "bytea": _MaxBinary(),
    "numeric": _Decimal(),
}
"""Says how the types of Postgres travel; all others do as texts."""


def nothing() -> QueryResult:
    """Return the answer of a statement without rows."""
    return QueryResult(columns=[], rows=[])


def result_of(columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[Any]]) -> QueryResult:
    """Return rows, whose columns have names and types of Postgres."""
    if not columns:
        return nothing()
    wire = [
        Column(name, _MaxBinary() if kind == "bytea" else _WIRE.get(kind, NVarChar(None))) for name, kind in columns
    ]
    return QueryResult(columns=wire, rows=[list(row) for row in rows])


def number_of(error: Exception) -> int:
    """Return the number that SQL Server has for an error."""
    return next((each for kind, each in _NUMBERS if isinstance(error, kind)), _ELSE)


def words_of(number: int, error: Exception) -> str:
    """Return what SQL Server says of an error of this number."""
    words = str(getattr(error, "message", None) or error)
    match number:
        case 2627:
            return f"Violation of PRIMARY KEY constraint. Cannot insert duplicate key in object. {words}."
        case 208:
            name = re.search('"([^"]+)"', words)
            return f"Invalid object name '{name[1] if name else ''}'."
        case 515:
            return f"Cannot insert the value NULL into column: {words}; column does not allow nulls."
        case _:
            return words
