"""Reads SQLite's values, and binds values so that a column's type affinity changes none of them.

SQLite turns a value into its column's affinity without a word (https://www.sqlite.org/datatype3.html#type_affinity):
a number into a text of 15 digits, a text of many digits into a rounded number. What would change is refused here, and
what a text column takes is written out in full before."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from enum import StrEnum
from functools import cache
from typing import Any

from loom_common.errors import RecordError
from loom_connectors.values import (
    Bind,
    UnfitValue,
    as_object,
    bytes_in,
    bytes_of,
    json_text,
    leaves,
    see_that_it_fits_a_double,
)

ANY_JSON = "JSON TEXT"
"""The declared type of a column that Loom makes for values of several kinds: each is its JSON text."""

_INTEGER = re.compile(r"\s*[+-]?\d+\s*", re.ASCII)


class NoText(str):
    """Represents a text of SQLite that is no UTF-8, shown with its bytes as `\\xe9`."""

    __slots__ = ()


def text_of(raw: bytes) -> str:
    """Return a text of SQLite, which keeps any bytes as text."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return NoText(raw.decode(errors="backslashreplace"))


def data_of(names: Sequence[str], values: Sequence[Any], place: str) -> tuple[dict[str, Any], RecordError | None]:
    """Return a row's values by column, blobs as `{"$bytes": ...}`, and what is wrong with the first that cannot be
    used."""
    data = dict(zip(names, values, strict=False))
    fault = None
    for name, value in data.items():
        kind = type(value)
        if kind is bytes:
            data[name] = as_object(value)
        elif kind is float and not math.isfinite(value):
            data[name] = "Infinity" if value > 0 else "-Infinity"
            fault = fault or _fault(place, name, "an infinite number, for which JSON has no form.", "inexact_number")
        elif kind is NoText:
            data[name] = str.__str__(value)
            words = "its text is not UTF-8 (bytes that are none are shown as \\x..)."
            fault = fault or _fault(place, name, words, "encoding")
    return data, fault


def _fault(place: str, name: str, words: str, code: str) -> RecordError:
    return RecordError(f"{place} column {name}: {words}", code=code, details={"column": name})


class Affinity(StrEnum):
    """Lists what a column may turn values into."""

    TEXT = "text"
    INTEGER = "integer"
    REAL = "real"
    NUMERIC = "numeric"
    NONE = "none"


def affinity_of(declared: str) -> Affinity:
    """Decide by the rules of SQLite, for a declared type."""
    name = declared.upper()
    if "INT" in name:
        return Affinity.INTEGER
    if "CHAR" in name or "CLOB" in name or "TEXT" in name:
        return Affinity.TEXT
    if "BLOB" in name or not name:
        return Affinity.NONE
    if "REAL" in name or "FLOA" in name or "DOUB" in name:
        return Affinity.REAL
    return Affinity.NUMERIC


@cache
def binder(declared: str) -> Bind:
    """Say how values are bound for a column of a declared type."""
    affinity = affinity_of(declared)
    if declared.upper() == ANY_JSON:
        return lambda value: None if value is None else json_text(value)
    if affinity is Affinity.TEXT:
        return _for_text
    if affinity is Affinity.NONE:
        return _for_blob if declared else _as_it_is
    return _for_real if affinity is Affinity.REAL else _for_number


@leaves(str)
def _for_text(value: Any) -> Any:
    if type(value) is str:
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    return repr(value) if isinstance(value, float) else _as_it_is(value)


def _for_number(value: Any) -> Any:
    if isinstance(value, str) and len(value) > 15 and _INTEGER.fullmatch(value):
        _see_64_bits(int(value))
    elif isinstance(value, str):
        see_that_it_fits_a_double(value)
    return _as_it_is(value)


def _for_real(value: Any) -> Any:
    if isinstance(value, int | str):
        see_that_it_fits_a_double(value)
    return _as_it_is(value)


def _for_blob(value: Any) -> Any:
    return _as_it_is(value) if (found := bytes_of(value)) is None else found


def _as_it_is(value: Any) -> Any:
    if isinstance(value, dict | list):
        found = bytes_in(value)
        return json_text(value) if found is None else found
    if isinstance(value, int):
        _see_64_bits(value)
    return value


def _see_64_bits(value: int) -> None:
    if not -(2**63) <= value < 2**63:
        raise UnfitValue(f"the integer {value} does not fit SQLite's 64 bits. Make the column TEXT.")
