"""JSON Lines are read exactly: no key twice, no number changed, else the record is kept back."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loom_connectors.formats.json_records import Unfit, object_of
from support.file_sources import source_of
from support.pieces import read_through


async def codes(folder, content):
    records = await read_through(source_of(folder, content, name="x.jsonl"))
    return [each.error.code if each.error else each.data for each in records]


async def test_a_key_that_stands_twice_keeps_its_record_back_and_is_named(tmp_path):
    lines = [
        '{"id": 1, "id": 2}',
        '{"id":1,"t":{"a":1,"a":1}}',
        '{"id" : 1, "id":2}',
        '{"id":1,"\\u0069d":2}',
        '{"id": 1, "t": [{"b": 1.5, "b": 2}]}',
        '{"id": 1, "t": "\\"id\\": {\\"id\\":"}',
    ]
    records = await read_through(source_of(tmp_path, "\n".join(lines), name="x.jsonl"))
    assert [each.error and each.error.code for each in records] == ["duplicate_name"] * 5 + [None]
    assert "x.jsonl line 1: an object has two members that are called 'id'" in str(records[0].error)
    assert records[0].data == {"raw": lines[0]}


async def test_integers_beyond_64_bits_are_exact(tmp_path):
    big = 2**64
    lines = [f'{{"id": {big + at}, "n": [{-(10**30) - at}]}}' for at in range(3)]
    assert await codes(tmp_path, "\n".join(lines)) == [{"id": big + at, "n": [-(10**30) - at]} for at in range(3)]


async def test_an_integer_too_long_for_any_program_is_kept_back(tmp_path):
    assert await codes(tmp_path, f'{{"id": {"9" * 5000}}}\n{{"id": 1}}\n') == ["inexact_number", {"id": 1}]


@pytest.mark.parametrize("text", ["0.1", "0.10000000000000001", "1e22", "1E+22", "-0.0", "1.50", "5e-324", "0.5e0"])
async def test_a_number_that_a_float_holds_is_read(tmp_path, text):
    assert await codes(tmp_path, f'{{"n": {text}}}') == [{"n": float(text)}]


INEXACT = ["3.14159265358979323846", "12345678901234567890.5", "0.1000000000000000055", "1e-400"]
INEXACT += [f"1e{10**20}", f"1e-{10**20}"]


@pytest.mark.parametrize("text", INEXACT)
async def test_a_number_that_no_float_holds_is_kept_back(tmp_path, text):
    records = await read_through(source_of(tmp_path, f'{{"n": [{text}]}}', name="x.jsonl"))
    assert [each.error.code for each in records] == ["inexact_number"]
    assert "Give it as a text" in str(records[0].error)


async def test_nesting_that_messages_cannot_hold_is_kept_back(tmp_path):
    deep = '{"a":' * 101 + "1" + "}" * 101
    wide = '{"a":[' + ",".join(["{}"] * 200) + "]}"
    found = await codes(tmp_path, "\n".join([deep, wide, '{"a":' * 100 + "1" + "}" * 100]))
    assert [each == "nested_too_deeply" for each in found] == [True, False, False]


NUMBER = st.one_of(
    st.integers(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False), st.booleans()
)
TRICKY = st.sampled_from(['": ', '":', " :", "\\", '\\":'])
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | TRICKY
VALUE = st.recursive(
    st.none() | NUMBER | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
OBJECT = st.dictionaries(TEXT, VALUE, max_size=4)
STYLE = st.fixed_dictionaries(
    {"ensure_ascii": st.booleans(), "separators": st.sampled_from([(",", ":"), (", ", ": "), (" , ", " : ")])}
)


@settings(max_examples=400, deadline=None)
@given(value=OBJECT, style=STYLE)
def test_what_was_written_is_read(value, style):
    read = object_of(json.dumps(value, **style))
    assert read == value
    assert json.dumps(read, sort_keys=True) == json.dumps(value, sort_keys=True)  # 1 is not 1.0, -0.0 is not 0.0


@settings(max_examples=200, deadline=None)
@given(value=OBJECT.filter(bool), style=STYLE, data=st.data())
def test_a_key_written_twice_is_never_read(value, style, data):
    again = data.draw(st.sampled_from(sorted(value)))
    text = json.dumps(value, **style)
    extra = json.dumps({again: data.draw(VALUE)}, **style)
    with pytest.raises(Unfit):
        object_of(f"{text[:-1]}{style['separators'][0]}{extra[1:]}")
