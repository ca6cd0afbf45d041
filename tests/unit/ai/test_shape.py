from __future__ import annotations

import pytest

from loom_ai.answers.shape import Shape
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
