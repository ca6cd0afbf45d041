"""Rows in the text format of Postgres's COPY. Postgres turns each text into its column's type.

https://www.postgresql.org/docs/current/sql-copy.html#id-1.9.3.55.9.2"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from loom_connectors.ports import Row

_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_NULL = "\\N"


def copy_text(
    rows: Sequence[Row], columns: Sequence[str], forms: Mapping[str, str], *, numbered: bool = False
) -> bytes:
    """The rows, `columns` of each; `forms` says which columns are `json` or `array`. Absent values are NULL.

    `numbered` puts the row's place in the batch before it, as one column more."""
    writers = [(name, _WRITERS[forms[name]]) for name in columns]
    lines = [
        "\t".join([_NULL if (value := row.values.get(name)) is None else write(value) for name, write in writers])
        for row in rows
    ]
    if numbered:
        lines = [f"{at}\t{line}" for at, line in enumerate(lines)]
    return ("\n".join(lines) + "\n").encode("utf-8", "surrogatepass") if lines else b""


def _text(value: Any) -> str:
    match value:
        case str():
            return value if value.isprintable() and "\\" not in value else value.translate(_ESCAPES)
        case bool():
            return "true" if value else "false"
        case dict() | list():
            return _json(value)
        case _:
            return str(value)


def _json(value: Any) -> str:
    return orjson.dumps(value).decode().translate(_ESCAPES)


def _array(value: Any) -> str:
    return (_elements(value) if isinstance(value, list) else str(value)).translate(_ESCAPES)


def _elements(values: list[Any]) -> str:
    return "{" + ",".join(map(_element, values)) + "}"


def _element(value: Any) -> str:
    match value:
        case None:
            return "NULL"
        case list():
            return _elements(value)
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case str():
            text = value
        case _:
            text = orjson.dumps(value).decode()
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


_WRITERS: dict[str, Callable[[Any], str]] = {"text": _text, "json": _json, "array": _array}
