from __future__ import annotations

import pytest
from jsonschema import Draft202012Validator

from loom_ai.answers.shape import Shape
from loom_common.domain.json_values import schema_check
from loom_common.domain.json_values.schema_check import CHECK_SECONDS, SchemaCheck
from loom_common.domain.marks import TIMEOUT
from loom_common.errors import RecordError

SHAPE = Shape({"mood": {"enum": ["good", "bad"]}, "author": {"name": "string"}, "note": "string?"})
FITTING = {"mood": "good", "author": {"name": "Ann"}, "note": None}


def test_what_fits_has_no_misfit():
    assert SHAPE.misfit(FITTING) is None
    SHAPE.check(FITTING)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({**FITTING, "mood": "odd"}, "mood: 'odd' is not one of"),
        ({**FITTING, "author": {"name": 3}}, "author.name: 3 is not of type"),
        ({"mood": "good", "author": {"name": "Ann"}}, "'note' is a required property"),
        ({**FITTING, "more": 1}, "'more' was unexpected"),
    ],
)
def test_a_misfit_names_the_field(value, words):
    assert words in (SHAPE.misfit(value) or "")
    with pytest.raises(RecordError, match="declared shape") as caught:
        SHAPE.check(value)
    assert (caught.value.code, caught.value.details["output"]) == ("invalid_output", value)


@pytest.mark.parametrize(
    ("value", "step", "fits"),
    [
        (19.99, 0.01, True),
        (0.3, 0.1, True),
        (1e308, 0.01, True),
        (10**400, 0.5, True),
        (7, 2, False),
        (0.35, 0.1, False),
        (True, 2, True),
    ],
)
def test_a_multiple_is_one_by_the_digits_of_both_numbers(value, step, fits):
    assert ([*SchemaCheck({"multipleOf": step}).misfits(value)] == []) is fits


def test_each_check_has_a_limit_of_time_of_its_own_that_reaches_every_part_of_the_schema(monkeypatch):
    shape = Shape(
        {"$defs": {"name": {"type": "string"}}, "type": "object", "properties": {"a": {"$ref": "#/$defs/name"}}}
    )
    assert shape.misfit({"a": 3}) == "a: 3 is not of type 'string'"
    times = iter([0.0, *[1.0] * 3, *[CHECK_SECONDS + 1] * 100])
    with monkeypatch.context() as patched:
        patched.setattr(schema_check.time, "monotonic", lambda: next(times))
        with pytest.raises(RecordError, match="took longer than 2 s") as caught:
            shape.misfit({"a": 3})
    assert caught.value.code == TIMEOUT
    assert shape.misfit({"a": "x"}) is None


def test_a_check_that_is_begun_within_another_does_not_lengthen_it():
    outer = SchemaCheck({"type": "array", "items": {"type": "string"}}).misfits([1, 2])
    assert "1 is not" in next(outer).message
    assert list(SchemaCheck({"type": "string"}).misfits("x")) == []
    assert "2 is not" in next(outer).message


def test_a_check_goes_on_with_its_own_limit_after_another_one_of_the_same_shape(monkeypatch):
    check = SchemaCheck({"type": "array", "items": {"type": "string"}})
    with monkeypatch.context() as patched:
        now = 0.0
        patched.setattr(schema_check.time, "monotonic", lambda: now)
        outer = check.misfits([1, 2])
        assert "1 is not" in next(outer).message
        now = CHECK_SECONDS - 0.1
        assert list(check.misfits(["x"])) == []
        now = CHECK_SECONDS + 0.1
        with pytest.raises(RecordError, match="took longer than 2 s"):
            next(outer)


def test_the_parts_of_a_shape_are_made_once(monkeypatch):
    made = []
    evolved = schema_check._evolved
    monkeypatch.setattr(
        schema_check, "_evolved", lambda *given, **changes: made.append(1) or evolved(*given, **changes)
    )
    shape = Shape({"a": {"type": "number"}, "b": {"enum": ["x", "y"]}})
    for _ in range(3):
        assert shape.misfit({"a": 1, "b": "x"}) is None
        assert shape.misfit({"a": "1", "b": "x"}) == "a: '1' is not of type 'number'"
    assert len(made) == 2


def test_what_is_wrong_and_where_is_said_as_the_library_says_it_however_often_a_shape_is_used():
    schema = {
        "type": "object",
        "properties": {
            "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 3},
            "who": {"$ref": "#/$defs/person"},
            "size": {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "null"}]},
            "open": True,
        },
        "required": ["tags"],
        "$defs": {"person": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}},
    }
    values = [
        {"tags": ["a", "c", 1, "d"], "who": {"name": 1}, "size": -1, "open": 3},
        {"who": {}, "size": "x"},
        {"tags": [], "who": {"name": "Ann"}, "size": None},
    ]
    check, library = SchemaCheck(schema), Draft202012Validator(schema)

    def told(errors):
        return [(each.json_path, each.message, list(each.schema_path), each.validator) for each in errors]

    for value in values * 2:
        assert told(check.misfits(value)) == told(library.iter_errors(value))


def test_a_format_is_a_comment_and_a_schema_that_refers_to_itself_ends():
    assert list(SchemaCheck({"type": "string", "format": "email"}).misfits("no address")) == []
    with pytest.raises(RecordError, match="refers to itself"):
        list(SchemaCheck({"allOf": [{"$ref": "#"}]}).misfits({}))


def test_what_to_do_with_further_fields_is_said():
    shape = Shape({"mood": {"type": "string"}})
    with pytest.raises(RecordError, match=r"\('sure' was unexpected\)\)\. Declare them in `output`, too, or leave"):
        shape.check({"mood": "good", "sure": 0.9})
    with pytest.raises(RecordError, match=r"\)$"):
        shape.check({"mood": 1})
