"""Tests values of Python that are given an exact JSON form, and those that are refused by their type."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import fractions
import json
import sys
import uuid
from collections import OrderedDict, namedtuple
from decimal import Decimal
from types import MappingProxyType, ModuleType, SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loom_common.domain.json_values.plain_values import NoPlainValue, plain


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Text(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "another"


@dataclasses.dataclass
class Place:
    name: str
    at: tuple[float, float]


Pair = namedtuple("Pair", "a b")
AWARE = dt.datetime(2024, 2, 29, 12, 0, 0, 5, dt.timezone(dt.timedelta(hours=2)))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (2**70, 2**70),
        (True, True),
        (1 / 3, 1 / 3),
        ("\x00 é 🧵", "\x00 é 🧵"),
        (Text("as it is"), "as it is"),
        ((1, (2,)), [1, [2]]),
        (Pair(1, "x"), [1, "x"]),
        (OrderedDict(a=1), {"a": 1}),
        (MappingProxyType({"a": (1,)}), {"a": [1]}),
        (Colour.RED, "red"),
        (Level.HIGH, 3),
        (Decimal("1.50"), "1.50"),
        (dt.date(2024, 2, 29), "2024-02-29"),
        (dt.time(12, 0, 0, 1), "12:00:00.000001"),
        (AWARE.replace(tzinfo=None, microsecond=0), "2024-02-29T12:00:00"),
        (AWARE, "2024-02-29T12:00:00.000005+02:00"),
        (dt.timedelta(days=400, seconds=1, microseconds=1), "P400DT1.000001S"),
        (-dt.timedelta(seconds=1), "-P0DT1S"),
        (uuid.UUID("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"), "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        (Place("x", (1.5, 2)), {"name": "x", "at": [1.5, 2]}),
    ],
)
def test_a_value_with_one_exact_form_is_given_it(value, expected):
    found = plain({"x": [value]})["x"][0]
    assert (found, type(found)) == (expected, type(expected))


ITSELF: list = []
ITSELF.append(ITSELF)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (float("nan"), "is nan"),
        (float("inf"), "is infinite"),
        (-float("inf"), "is infinite"),
        ({1, 2}, "type set"),
        (frozenset(), "type frozenset"),
        (b"\xff", "type bytes"),
        (bytearray(b"x"), "type bytearray"),
        (memoryview(b"x"), "type memoryview"),
        (object(), "type object"),
        (object, "type type"),
        (SimpleNamespace(a=1), "types.SimpleNamespace"),
        (lambda: 1, "function"),
        ((each for each in "ab"), "type generator"),
        (range(3), "type range"),
        (3j, "type complex"),
        (fractions.Fraction(1, 3), "fractions.Fraction"),
        (Decimal("NaN"), "Decimal"),
        (Decimal("-Infinity"), "Decimal"),
        ({1: "a"}, "key that is a value of type int"),
        ({("a", "b"): 1}, "key that is a value of type tuple"),
        ({None: 1}, "NoneType"),
        ("a\ud800b", "half a surrogate pair"),
        ({"\udc00": 1}, "half a surrogate pair"),
        (ITSELF, "contains itself"),
        (ValueError("x"), "type ValueError"),
    ],
)
def test_a_value_without_a_json_form_is_refused_by_field_and_type_and_never_shown(value, words):
    with pytest.raises(NoPlainValue) as raised:
        plain({"ok": 1, "a": {"b": [0, value]}})
    assert str(raised.value).startswith("field 'a.b[1]")
    assert words in str(raised.value)
    assert " at 0x" not in str(raised.value)


def test_numbers_of_numpy_keep_their_digits_and_their_kind(monkeypatch):
    """NumPy is recognised by its protocol, because it is no dependency."""
    module = ModuleType("numpy")
    monkeypatch.setitem(sys.modules, "numpy", module)

    class Scalar:
        def __init__(self, value, kind, size, text):
            self.value, self.text, self.shape = value, text, ()
            self.dtype = SimpleNamespace(kind=kind, itemsize=size)

        def tolist(self):
            return self.value

        def __str__(self):
            return self.text

    Scalar.__module__ = "numpy"
    assert plain(Scalar(7, "i", 8, "7")) == 7
    assert plain(Scalar(True, "b", 1, "True")) is True
    assert plain(Scalar([1, [2]], "i", 8, "")) == [1, [2]]
    assert plain(Scalar(0.10000000149011612, "f", 4, "0.1")) == 0.1
    for value, kind, size, text in ((float("nan"), "f", 8, "nan"), (1.5, "f", 16, "1.5"), (b"x", "S", 1, "x")):
        with pytest.raises(NoPlainValue):
            plain(Scalar(value, kind, size, text))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_a_json_value_is_itself(value):
    assert json.dumps(plain(value)) == json.dumps(value)
