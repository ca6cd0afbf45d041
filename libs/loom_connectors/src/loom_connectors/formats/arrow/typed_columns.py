"""Makes typed columns of JSON values, exactly: a value that its type would change is refused."""

from __future__ import annotations

import itertools
import math
import re
import struct
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from loom_common.domain.json_values.exact_json import UnfitJson, exact_float
from loom_common.domain.json_values.kinds import kind_of
from loom_connectors.formats.arrow.array_buffers import plain_array
from loom_connectors.values import (
    EMPTY_TEXT,
    UnfitValue,
    bytes_of,
    json_text,
    see_that_it_fits_a_double,
    see_that_it_fits_a_single,
)

_INTEGER = re.compile(r"[+-]?[0-9]{1,40}")
_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9])(?:\.([0-9]{1,9}))?)?")
_NOT_FINITE = ("NaN", "Infinity", "-Infinity")


def column_of(values: Sequence[Any], kind: Any, name: str) -> Any:
    """Return an array of a type. Raises `UnfitValue` for the first value that it cannot hold exactly."""
    try:
        return _array(values, kind)
    except UnfitValue as error:
        raise error if error.column else UnfitValue(str(error), name) from None
    except (pa.ArrowException, UnfitJson, OverflowError, ValueError) as error:
        words = str(error).partition("\n")[0].rstrip(".")
        raise UnfitValue(f"{words}.{EMPTY_TEXT if '' in values else ''}", name) from None


def _array(values: Sequence[Any], kind: Any) -> Any:
    if isinstance(kind, pa.JsonType):
        texts = [None if value is None else json_text(value) for value in values]
        return pa.ExtensionArray.from_storage(kind, plain_array(texts, kind.storage_type))
    if isinstance(kind, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(kind, _array(values, kind.storage_type))
    if pa.types.is_dictionary(kind):
        return _array(values, kind.value_type).dictionary_encode().cast(kind)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _lists(values, kind)
    if pa.types.is_struct(kind):
        return _structs(values, kind)
    if pa.types.is_time(kind):
        times = [None if value is None else _time(value, kind.unit) for value in values]
        return plain_array(times, pa.int32() if pa.types.is_time32(kind) else pa.int64()).cast(kind)
    for suits, prepared, first in _PREPARED:
        if suits(kind):
            made = [None if value is None else prepared(value) for value in values]
            return plain_array(made, kind) if first is None else plain_array(made, first).cast(kind)
    raise UnfitValue(f"columns of type {kind} cannot be written.")


def _lists(values: Sequence[Any], kind: Any) -> Any:
    for value in values:
        if value is not None and not isinstance(value, list):
            raise UnfitValue(f"{kind_of(value)}, and the column holds lists.")
    inner = _array(list(itertools.chain.from_iterable(value or () for value in values)), kind.value_type)
    ends = list(itertools.accumulate((len(value or ()) for value in values), initial=0))
    nulls = plain_array([value is None for value in values], pa.bool_())
    large = pa.types.is_large_list(kind)
    made, offset = (pa.LargeListArray, pa.int64()) if large else (pa.ListArray, pa.int32())
    return made.from_arrays(plain_array(ends, offset), inner, type=kind, mask=nulls)


def _structs(values: Sequence[Any], kind: Any) -> Any:
    names = [field.name for field in kind]
    known = set(names)
    for value in values:
        if value is not None and not isinstance(value, dict):
            raise UnfitValue(f"{kind_of(value)}, and the column holds objects.")
        if value is not None and not value.keys() <= known:
            strange = min(value.keys() - known)
            raise UnfitValue(f"an object with '{strange}', and those of the column have {', '.join(names)}.")
    columns = [_array([(value or {}).get(field.name) for value in values], field.type) for field in kind]
    nulls = plain_array([value is None for value in values], pa.bool_())
    return pa.StructArray.from_arrays(columns, fields=list(kind), mask=nulls)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return json_text(value) if isinstance(value, dict | list) else str(value)


def _integer(value: Any) -> int:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise UnfitValue(f"{kind_of(value)}{_shown(value)} is no integer.")
    return value


def _double(value: Any) -> float:
    if isinstance(value, str):
        return float(value) if value in _NOT_FINITE else exact_float(value.strip())
    see_that_it_is_a_number(value)
    see_that_it_fits_a_double(value)
    return float(value)


def _single(value: Any) -> float:
    if not (isinstance(value, str) and value in _NOT_FINITE):
        see_that_it_is_a_number(value if not isinstance(value, str) else float(value))
        see_that_it_fits_a_single(value)
    return float(value)


def _half(value: Any) -> float:
    number = _double(value)
    try:
        kept = struct.unpack("<e", struct.pack("<e", number))[0]
    except OverflowError:
        raise UnfitValue(f"the number {value} is too large for 16 bits of floating point.") from None
    if kept != number and not math.isnan(number):
        raise UnfitValue(f"the number {value} would become {kept!r} in a column of 16-bit floating-point numbers.")
    return number


def see_that_it_is_a_number(value: Any) -> None:
    """Raise `UnfitValue` for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UnfitValue(f"{kind_of(value)} is no number.")


def _boolean(value: Any) -> bool:
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if isinstance(value, int) and value in (0, 1):
        return bool(value)
    raise UnfitValue(f"{kind_of(value)}{_shown(value)} is neither true nor false.")


def _decimal(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise UnfitValue(f"{kind_of(value)} is no number.")
    return str(value).strip()


def _moment(value: Any) -> str:
    if not isinstance(value, str):
        raise UnfitValue(f"{kind_of(value)}{_shown(value)} is no date or time.")
    return value


def _time(value: Any, unit: str) -> int:
    """Return a time of day as a number of units, or raise `UnfitValue` where it has digits beyond these."""
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise UnfitValue(f"{kind_of(value)}{_shown(value)} is no time of day, as 12:00:00.5 is.")
    digits = {"s": 0, "ms": 3, "us": 6, "ns": 9}[unit]
    fraction = (found[4] or "").rstrip("0")
    if len(fraction) > digits:
        raise UnfitValue(f"the time {value} has more digits than the column keeps ({digits}).")
    seconds = (int(found[1]) * 60 + int(found[2])) * 60 + int(found[3] or 0)
    return int(seconds * 10**digits) + int(fraction.ljust(digits, "0") or 0)


def _bytes(value: Any) -> bytes:
    if (found := bytes_of(value)) is None:
        raise UnfitValue(f'{kind_of(value)}, and the column holds bytes: {{"$bytes": "00ff"}}.')
    return found


def _shown(value: Any) -> str:
    return f" ({value!r:.40})" if isinstance(value, str | int | float) else ""


_IS = pa.types
_PREPARED: Sequence[tuple[Callable[[Any], bool], Callable[[Any], Any], Any]] = (
    (lambda kind: _IS.is_string(kind) or _IS.is_large_string(kind), _text, None),
    (_IS.is_integer, _integer, None),
    (_IS.is_float64, _double, None),
    (_IS.is_float32, _single, None),
    (_IS.is_float16, _half, None),
    (_IS.is_boolean, _boolean, None),
    (_IS.is_decimal, _decimal, pa.string()),
    (lambda kind: _IS.is_date(kind) or _IS.is_timestamp(kind), _moment, pa.string()),
    (
        lambda kind: _IS.is_binary(kind) or _IS.is_large_binary(kind) or _IS.is_fixed_size_binary(kind),
        _bytes,
        None,
    ),
    (_IS.is_null, _text, None),
)
"""Says which types a row is for, how a value is prepared for them, and from which type the library makes them, where
that is another."""
