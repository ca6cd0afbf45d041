"""Turns columns of Arrow into JSON values, each exactly what the column holds ("How values travel" in the docs)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from loom_common.domain.json_values.exact_json import UnfitJson, loads
from loom_common.errors import SourceError
from loom_connectors.values import UnfitValue, as_object

Values = list[Any]


def values_of(array: Any, name: str) -> Values:
    """Return the JSON value of each cell. Raises `UnfitValue` where one has none, and `SourceError` where the type of
    the column has none."""
    convert = converter(array.type, name)
    try:
        return convert(array)
    except UnicodeDecodeError as error:
        raise UnfitValue(f"byte 0x{error.object[error.start]:02x} is not UTF-8 text.", name) from None
    except (UnfitJson, ValueError) as error:
        raise UnfitValue(str(error), name) from None


def converter(kind: Any, name: str) -> Callable[[Any], Values]:
    """Return what turns a column of a type into JSON values. Raises `SourceError` where nothing does."""
    for suits, convert in _CONVERTERS:
        if suits(kind):
            return convert
    if pa.types.is_dictionary(kind):
        inner = converter(kind.value_type, name)
        return lambda array: inner(array.dictionary_decode())
    if isinstance(kind, pa.BaseExtensionType):
        inner = converter(kind.storage_type, name)
        return lambda array: inner(array.storage)
    if pa.types.is_map(kind):
        return _map_converter(kind, name)
    if pa.types.is_struct(kind):
        return _struct_converter(kind, name)
    if _is_list(kind):
        return _list_converter(kind, name)
    raise SourceError(
        f"The column '{name}' is of type {kind}, which has no JSON value. Leave it out of the file, or write it in "
        "another type."
    )


def _is_list(kind: Any) -> bool:
    views = (pa.types.is_list_view(kind), pa.types.is_large_list_view(kind))
    return any((pa.types.is_list(kind), pa.types.is_large_list(kind), pa.types.is_fixed_size_list(kind), *views))


def _plain(array: Any) -> Values:
    return list(array.to_pylist())


def _single(array: Any) -> Values:
    """Write a 32-bit number in as many digits as it has: 0.1, not 0.10000000149011612."""
    return [None if text is None else _number(float(text)) for text in array.cast(pa.string()).to_pylist()]


def _numbers(array: Any) -> Values:
    return [None if value is None else _number(value) for value in array.to_pylist()]


def _number(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _text_form(array: Any) -> Values:
    """Write decimals, dates and times as the library does, which keeps every digit."""
    found = array.cast(pa.string()).to_pylist()
    if any(text is not None and "out of range" in text for text in found):
        raise UnfitValue("a date or time so far away that it cannot be written.")
    return list(found)


def _times(array: Any) -> Values:
    return [None if text is None else _short(text) for text in _text_form(array)]


def _timestamps(array: Any) -> Values:
    """Write a timestamp with a zone in UTC."""
    zone = "" if array.type.tz is None else "+00:00"
    local = array.cast(pa.timestamp(array.type.unit))
    return [None if text is None else _short(text.replace(" ", "T")) + zone for text in _text_form(local)]


def _short(text: str) -> str:
    """Leave out zeros that a fraction ends in: `12:00:00.500000` is `12:00:00.5`."""
    return text.rstrip("0").rstrip(".") if "." in text else text


def _date_times(array: Any) -> Values:
    """Write 64-bit dates as dates; those with a time of day are refused."""
    return _text_form(array.cast(pa.date32()))


_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def _durations(array: Any) -> Values:
    """Write ISO 8601 text in seconds: `PT90.5S`."""
    parts = _PER_SECOND[array.type.unit]
    digits = len(str(parts)) - 1

    def text(value: int) -> str:
        whole, rest = divmod(abs(value), parts)
        return f"PT{'-' if value < 0 else ''}{_short(f'{whole}.{rest:0{digits}d}') if digits else whole}S"

    return [None if value is None else text(value) for value in array.cast(pa.int64()).to_pylist()]


def _intervals(array: Any) -> Values:
    def text(value: Any) -> str:
        whole, rest = divmod(abs(value.nanoseconds), 10**9)
        sign = "-" if value.nanoseconds < 0 else ""
        return f"P{value.months}M{value.days}DT{sign}{_short(f'{whole}.{rest:09d}')}S"

    return [None if value is None else text(value) for value in array.to_pylist()]


def _bytes(array: Any) -> Values:
    return [None if value is None else as_object(value) for value in array.to_pylist()]


def _json(array: Any) -> Values:
    return [None if text is None else loads(text) for text in array.storage.to_pylist()]


def _uuids(array: Any) -> Values:
    return [None if value is None else str(value) for value in array.to_pylist()]


def _list_converter(kind: Any, name: str) -> Callable[[Any], Values]:
    inner = converter(kind.value_type, name)

    def convert(array: Any) -> Values:
        lists = array.cast(pa.large_list(kind.value_type))
        offsets = lists.offsets.to_pylist()
        values = inner(lists.values.slice(offsets[0], offsets[-1] - offsets[0])) if len(lists) else []
        there, first = lists.is_valid().to_pylist(), offsets[0]
        return [
            values[offsets[at] - first : offsets[at + 1] - first] if there[at] else None for at in range(len(lists))
        ]

    return convert


def _struct_converter(kind: Any, name: str) -> Callable[[Any], Values]:
    names = [field.name for field in kind]
    if len(set(names)) < len(names):
        raise SourceError(f"The column '{name}' has two fields of one name. Rename one of them.")
    inner = [converter(field.type, name) for field in kind]

    def convert(array: Any) -> Values:
        columns = [each(array.field(at)) for at, each in enumerate(inner)]
        rows = zip(*columns, strict=True) if columns else iter([()] * len(array))
        there = array.is_valid().to_pylist()
        return [dict(zip(names, row, strict=True)) if valid else None for row, valid in zip(rows, there, strict=True)]

    return convert


def _map_converter(kind: Any, name: str) -> Callable[[Any], Values]:
    """Return a map with keys of text as an object, another one as a list of `{key, value}`."""
    entry = pa.struct([pa.field("key", kind.key_type), pa.field("value", kind.item_type)])
    inner = _list_converter(pa.list_(entry), name)
    of_text = pa.types.is_string(kind.key_type) or pa.types.is_large_string(kind.key_type)

    def convert(array: Any) -> Values:
        found = inner(array.cast(pa.list_(entry)))
        return [None if pairs is None else _object(pairs) for pairs in found] if of_text else found

    return convert


def _object(pairs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    made = {pair["key"]: pair["value"] for pair in pairs}
    if len(made) < len(pairs):
        raise UnfitValue("a map that has one key twice.")
    return made


_IS = pa.types
_CONVERTERS: Sequence[tuple[Callable[[Any], bool], Callable[[Any], Values]]] = (
    (lambda kind: isinstance(kind, pa.JsonType), _json),
    (lambda kind: isinstance(kind, pa.UuidType), _uuids),
    (_IS.is_null, _plain),
    (_IS.is_boolean, _plain),
    (_IS.is_integer, _plain),
    (_IS.is_float32, _single),
    (_IS.is_floating, _numbers),
    (lambda kind: _IS.is_string(kind) or _IS.is_large_string(kind) or _IS.is_string_view(kind), _plain),
    (
        lambda kind: (
            _IS.is_binary(kind)
            or _IS.is_large_binary(kind)
            or _IS.is_fixed_size_binary(kind)
            or _IS.is_binary_view(kind)
        ),
        _bytes,
    ),
    (_IS.is_decimal, _text_form),
    (_IS.is_date32, _text_form),
    (_IS.is_date64, _date_times),
    (_IS.is_time, _times),
    (_IS.is_timestamp, _timestamps),
    (_IS.is_duration, _durations),
    (_IS.is_interval, _intervals),
)
