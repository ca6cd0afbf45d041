"""What a record must have before it may enter a run, and keep on its way."""

import pytest

from loom_common.domain.checks.record_checks import carried_from_input, see_fields, see_that_the_key_stays
from loom_common.domain.definition.reader import parse
from loom_common.errors import InvalidDefinition, RecordError


def pipeline(output=None, transform="ai", include=("review",), key="id"):
    kinds = {
        "ai": {"type": "ai", "prompt": "{{ input.review }}", "model": "gpt-4o"},
        "python": {"type": "python", "function": "m:f"},
    }
    return {
        "name": "p",
        "extract": {"source": "x.csv", "key": key},
        "transform": {**kinds[transform], **({"output": output} if output else {})},
        "load": {"destination": "y.csv", "include": list(include)},
    }


@pytest.mark.parametrize(
    ("output", "at"),
    [
        ({"id": "integer", "mood": "string"}, ("transform", "output", "id")),
        ({"type": "object", "properties": {"id": {"type": "string"}}}, ("transform", "output", "properties", "id")),
        ({"review": "string"}, ("transform", "output", "review")),
    ],
)
def test_an_output_that_would_overwrite_what_is_loaded_beside_it_is_refused(output, at):
    with pytest.raises(InvalidDefinition, match="overwrite") as raised:
        parse(pipeline(output))
    assert [problem.path for problem in raised.value.problems] == [at]


def test_free_text_is_a_field_like_any_other():
    with pytest.raises(InvalidDefinition, match="`text`"):
        parse(pipeline("text", key="text", include=()))
    parse(pipeline("text"))


def test_a_function_may_give_the_key_again_and_is_looked_at_record_by_record():
    parse(pipeline({"id": "string"}, transform="python"))
    see_that_the_key_stays({"id": "5"}, {"id": 5, "n": 1}, ["id"])
    with pytest.raises(RecordError, match=r"'id' would overwrite the record's key: '5' would become '6'") as raised:
        see_that_the_key_stays({"id": "5"}, {"id": "6"}, ["id"])
    assert raised.value.code == "key_overwritten"


def test_a_field_that_is_loaded_beside_the_output_must_be_there():
    assert carried_from_input(parse(pipeline({"mood": "string"}, "python", ["review", "mood"]))) == ("review",)
    assert carried_from_input(parse(pipeline(transform="python"))) == ()
    see_fields({"review": None}, ["review"], "line 2")
    with pytest.raises(RecordError, match=r"'reveiw', which the record at line 2 lacks.*Did you mean 'review'"):
        see_fields({"id": "1", "review": "x"}, ["reveiw"], "line 2")
