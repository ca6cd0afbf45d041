"""Reads the values of a Postgres column in the server's own text form, which it reads back without loss.

The driver makes nothing of dates, intervals, ranges and the like: it has no value for a date before our era or for
`24:00`, and it loses an interval's months. Only what JSON says as exactly as Postgres does becomes more than text:
booleans, whole numbers, floating-point numbers, JSON, and arrays, whose elements are read by the same rules."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loom_common.domain.json_values.exact_json import loads
from loom_common.errors import RecordError
from loom_connectors.sql.parameters import quoted
from loom_connectors.sql.reading.mark import Compared, MarkColumn

SESSION = "SET DateStyle = ISO; SET IntervalStyle = iso_8601; SET bytea_output = hex; SET extra_float_digits = 1"
"""Makes the text forms exact, and the same whatever a server's or a user's settings are."""

Read = Callable[[str], Any]
"""The JSON value of a text form. Raises `UnfitJson` where there is none."""

_OUTPUTS = {1042: "bpcharout", 869: "inet_out"}
"""Types whose cast to text is another than their text form: it cuts padding off, or adds `/32`."""
_TIMESTAMPTZ = 1184
_COMPARED = {
    **dict.fromkeys((20, 21, 23), (Compared.WHOLE, "text::bigint")),
    **dict.fromkeys((700, 701), (Compared.FLOAT, "text::float8")),
    1700: (Compared.DECIMAL, "text::numeric"),
    1082: (Compared.DAY, "text::date"),
    1114: (Compared.CLOCK, "text::timestamp"),
    _TIMESTAMPTZ: (Compared.MOMENT, "text::timestamptz"),
}
"""Says by the type's number how a mark is compared with a column, and the type of the bound, which is sent as text."""
_TEXT_FORM = """
    SELECT t.oid, format_type(t.oid, -1) AS name, coalesce(nullif(e.typbasetype, 0), e.oid) AS element, e.typdelim
    FROM pg_type t LEFT JOIN pg_type e ON t.typcategory = 'A' AND e.oid = t.typelem WHERE t.oid = ANY($1::oid[])
"""


@dataclass(frozen=True, slots=True)
class Column:
    """Describes a column of a query."""

    name: str
    oid: int
    type: str
    """Holds the SQL type of the column, to cast a cursor's text into."""
    read: Read | None
    """None: the text is the value."""

    def sql(self, row: str) -> str:
        """Return SQL for its text form in the row called `row`."""
        value = f"{row}.{quoted(self.name)}"
        if output := _OUTPUTS.get(self.oid):
            return f"textin({output}({value}))"
        return f"({value} AT TIME ZONE 'UTC')::text" if self.oid == _TIMESTAMPTZ else f"{value}::text"

    def bytes_sql(self, row: str) -> str:
        """Return SQL for the bytes of its text form, as the server keeps them."""
        return f"convert_to({self.sql(row)}, getdatabaseencoding())"


def mark_column(column: Column) -> MarkColumn | None:
    """Return how a mark is compared with a column; None for one whose values do not sort as numbers or times do."""
    if column.oid not in _COMPARED:
        return None
    compared, bound = _COMPARED[column.oid]
    return MarkColumn(quoted(column.name), compared, lambda marker: f"{marker}::{bound}")


async def columns_of(connection: Any, attributes: Sequence[Any]) -> dict[str, Column]:
    """Return the columns of a prepared query, by their names."""
    rows = await connection.fetch(_TEXT_FORM, [each.type.oid for each in attributes])
    kinds = {row["oid"]: row for row in rows}
    columns = {}
    for each in attributes:
        kind = kinds[each.type.oid]
        read = _READERS.get(each.type.oid)
        if kind["element"] is not None and read is None:
            read = _array_reader(_READERS.get(kind["element"]), kind["typdelim"].decode())
        columns[each.name] = Column(each.name, each.type.oid, kind["name"], read)
    return columns


def data_of(row: Mapping[str, Any], columns: Sequence[Column], place: str) -> tuple[dict[str, Any], RecordError | None]:
    """Return a row's values by column, and what is wrong with the first that cannot be used: it keeps its text."""
    data, fault = {}, None
    for column in columns:
        value = row[column.name]
        if isinstance(value, bytes):
            try:
                value = value.decode()
            except UnicodeDecodeError as error:
                value = value.decode(errors="backslashreplace")
                words = f"byte 0x{error.object[error.start]:02x} at offset {error.start} is not UTF-8 text"
                fault = fault or _fault(place, column, f"{words}.", "encoding")
        if value is not None and column.read is not None:
            try:
                value = column.read(value)
            except ValueError as error:
                fault = fault or _fault(place, column, str(error), getattr(error, "code", "type"))
        data[column.name] = value
    return data, fault


def _fault(place: str, column: Column, words: str, code: str) -> RecordError:
    return RecordError(f"{place} column {column.name}: {words}", code=code, details={"column": column.name})


def _number(text: str) -> float | str:
    """Read a floating-point number. NaN and the infinities, which JSON lacks, stay text, as Postgres writes them."""
    number = float(text)
    return number if math.isfinite(number) else text


def _boolean(text: str) -> bool:
    return text in ("true", "t")


def _moment(text: str) -> str:
    """Write a time in ISO 8601, where Postgres puts a blank before the time. `infinity` stays as it is."""
    return text.replace(" ", "T", 1)


def _utc_moment(text: str) -> str:
    if text.endswith("infinity"):
        return text
    moment, era = (text[:-3], " BC") if text.endswith(" BC") else (text, "")
    return f"{moment.replace(' ', 'T', 1)}+00:00{era}"


_READERS: dict[int, Read] = {
    16: _boolean,
    **dict.fromkeys((20, 21, 23, 26), int),
    **dict.fromkeys((700, 701), _number),
    **dict.fromkeys((114, 3802), loads),
    1114: _moment,
    _TIMESTAMPTZ: _utc_moment,
}
"""Says what JSON says as exactly as Postgres does, by the type's number (pg_type.dat)."""

_TOKENS = {
    mark: re.compile(rf'[{{}}{mark}]|"((?:[^"\\]|\\.)*)"|[^{{}}{mark}"]+', re.DOTALL)
    for mark in ",;"  # the semicolon is for boxes
}
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def _array_reader(read: Read | None, delimiter: str) -> Read:
    if read in (_moment, _utc_moment):
        read = _moment  # an element's text has the session's offset
    if read is loads:
        return _array_of_json
    return lambda text: array_of(text, read, delimiter)


def _array_of_json(text: str) -> Any:
    """Read an array of JSON values. An array stays text where an element is a JSON list or null, which would look like
    a dimension or a NULL."""
    elements = array_of(text, None)
    if not isinstance(elements, list):
        return text
    if any(isinstance(each, list) or (each is not None and each.lstrip()[:1] in ("[", "n")) for each in elements):
        return text
    return [None if each is None else loads(each) for each in elements]


def array_of(text: str, read: Read | None, delimiter: str = ",") -> Any:
    """Return the lists that an array's text form means, e.g. `{1,NULL,"a b"}`. An array whose first index is not 1
    (`[0:1]={1,2}`) and a vector (`1 2`) stay text, because a list would lose that."""
    if not text.startswith("{"):
        return text
    token_at = _TOKENS[delimiter].match
    stack: list[list[Any]] = [[]]
    place = 0
    while place < len(text):
        match = token_at(text, place)
        if match is None:
            raise ValueError("its text form is no array.")
        place, piece = match.end(), match[0]
        if piece == "{":
            stack.append([])
        elif piece == "}":
            inner = stack.pop()
            stack[-1].append(inner)
        elif match[1] is not None:
            element = _ESCAPED.sub(r"\1", match[1])
            stack[-1].append(element if read is None else read(element))
        elif piece != delimiter:
            stack[-1].append(None if piece == "NULL" else piece if read is None else read(piece))
    return stack[0][0]
