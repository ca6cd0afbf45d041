"""Makes arrays of Arrow of Python's values, buffer by buffer.

`pyarrow.array` does the same, and imports pandas for it wherever pandas is installed, to see whether it was given a
series: some 45 MB that no file of columns needs. Nothing here imports it."""

from __future__ import annotations

import itertools
import struct
from array import array
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from loom_connectors.values import UnfitValue

_IS = pa.types
_INTEGERS = {8: "b", 16: "h", 32: "i", 64: "q"}
"""The codes of `array` for signed integers, by their bits. Those of unsigned ones are the same letters, as capitals."""


def plain_array(values: Sequence[Any], kind: Any) -> Any:
    """Return an array of a plain type: text, bytes, numbers, booleans, nulls. The values are of Python's type for it,
    or None. Raises `UnfitValue` for one that the type cannot hold, `OverflowError` for a number that is too large."""
    if _IS.is_null(kind):
        if any(value is not None for value in values):
            raise UnfitValue("a value, and the column holds nulls alone.")
        return pa.nulls(len(values))
    validity = _bits([value is not None for value in values]) if None in values else None
    return pa.Array.from_buffers(kind, len(values), [validity, *_body(values, kind)])


def _body(values: Sequence[Any], kind: Any) -> list[Any]:
    """Return the buffers behind the bits that say which values there are."""
    if _IS.is_string(kind) or _IS.is_large_string(kind):
        return _joined([b"" if value is None else value.encode() for value in values], large=_IS.is_large_string(kind))
    if _IS.is_binary(kind) or _IS.is_large_binary(kind):
        return _joined([b"" if value is None else value for value in values], large=_IS.is_large_binary(kind))
    if _IS.is_fixed_size_binary(kind):
        return [_of_one_length(values, kind.byte_width)]
    if _IS.is_boolean(kind):
        return [_bits([bool(value) for value in values])]
    numbers = [0 if value is None else value for value in values]
    if _IS.is_integer(kind):
        return [_integers(numbers, kind)]
    if _IS.is_float64(kind) or _IS.is_float32(kind):
        return [pa.py_buffer(array("d" if _IS.is_float64(kind) else "f", numbers))]
    if _IS.is_float16(kind):
        return [pa.py_buffer(struct.pack(f"={len(numbers)}e", *numbers))]
    raise UnfitValue(f"columns of type {kind} cannot be written.")


def _bits(flags: Sequence[bool]) -> Any:
    """Pack flags into bytes, the first one into the lowest bit."""
    text = "".join(["1" if flag else "0" for flag in reversed(flags)])
    return pa.py_buffer(int(text or "0", 2).to_bytes((len(flags) + 7) // 8, "little"))


def _integers(numbers: Sequence[int], kind: Any) -> Any:
    signed, bits = _IS.is_signed_integer(kind), kind.bit_width
    try:
        return pa.py_buffer(array(_INTEGERS[bits] if signed else _INTEGERS[bits].upper(), numbers))
    except OverflowError:
        least, most = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
        strange = next(value for value in numbers if not least <= value <= most)
        raise UnfitValue(f"the integer {strange} is outside what {kind} holds ({least} to {most}).") from None


def _joined(pieces: Sequence[bytes], *, large: bool) -> list[Any]:
    """Return where each piece begins, and all pieces after one another."""
    try:
        places = array("q" if large else "i", itertools.accumulate(map(len, pieces), initial=0))
    except OverflowError:
        raise UnfitValue("the values of the column are more than 2 GiB together. Give it fewer rows.") from None
    return [pa.py_buffer(places), pa.py_buffer(b"".join(pieces))]


def _of_one_length(values: Sequence[bytes | None], width: int) -> Any:
    if strange := {len(value) for value in values if value is not None} - {width}:
        raise UnfitValue(f"{min(strange)} bytes, and the column holds {width} each.")
    return pa.py_buffer(b"".join([bytes(width) if value is None else value for value in values]))
