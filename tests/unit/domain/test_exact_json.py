"""Numbers and members of JSON arrive as they are written, or the text is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loom_common.domain.json_values.exact_json import UnfitJson, dumps, loads


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("18446744073709551616", 2**64),
        ("-9223372036854775809", -(2**63) - 1),
        (
            '{"id": 12345678901234567890123456789, "n": [1e2, 1.50]}',
            {"id": 12345678901234567890123456789, "n": [100.0, 1.5]},
        ),
        ("0.30000000000000004", 0.1 + 0.2),
        ("0.10000000000000001", 0.1),  # as programs write it that print 17 digits
        ("1.7976931348623157e308", 1.7976931348623157e308),
        ("5e-324", 5e-324),
        ("1.0", 1.0),
        ("-0.0", -0.0),
        (r'{"a": "\":1 \": ", "b\"": "\ud83e\uddf5"}', {"a": '":1 ": ', 'b"': "🧵"}),
        (r'"\\ud800"', "\\ud800"),
    ],
)
def test_a_value_arrives_as_it_is_written(text, value):
    found = loads(text)
    assert (found, str(found)) == (value, str(value))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("0.1234567890123456789", "inexact_number"),
        ("12345678901234567.89", "inexact_number"),
        ("9007199254740993.0", "inexact_number"),
        ("[1e400]", "inexact_number"),
        ("1e-400", "inexact_number"),
        ("1" * 5000, "inexact_number"),
        ('{"a": 1, "a": 2}', "duplicate_name"),
        ('{"a" : 1, "a":2}', "duplicate_name"),
        ('{"a":1, "a"\t:2}', "duplicate_name"),
        ('{"a":1, "a"\r:2}', "duplicate_name"),
        ('{"a":1, "a"\n:2}', "duplicate_name"),
        ('{"a":1, "a" \n\r:2}', "duplicate_name"),
        (r'{"a": 1, "\u0061": 2}', "duplicate_name"),
        ('[{"x": {"b": 1, "c": ["\\":"], "b": 1}}]', "duplicate_name"),
        (r'"\ud800"', "bad_unicode"),
        (r'{"\udc00x": 1}', "bad_unicode"),
        ("[" * 101 + "1.50" + "]" * 101, "nested_too_deeply"),
        ("[" * 300 + "]" * 300, "nested_too_deeply"),
        ("[" * 100_000 + "]" * 100_000, "nested_too_deeply"),
        ('{"a":' * 150 + "1" + "}" * 150, "nested_too_deeply"),
    ],
)
def test_what_would_change_is_refused(text, code):
    with pytest.raises(UnfitJson) as raised:
        loads(text)
    assert raised.value.code == code


@pytest.mark.parametrize("text", ["", "{", "nan", "[1,]", "'a'", '{"a": 1e}', "1 2"])
def test_what_is_no_json_is_told_from_it(text):
    with pytest.raises(json.JSONDecodeError):
        loads(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(JSON, st.booleans(), st.sampled_from([None, 1]))
def test_what_python_writes_is_read_as_it_was(value, escaped, indent):
    read = loads(json.dumps(value, ensure_ascii=escaped, indent=indent))
    assert json.dumps(read) == json.dumps(value)
    assert json.loads(dumps(value)) == value
