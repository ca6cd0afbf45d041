"""Parameters have types; every wrong one is named."""

import datetime as dt

import pytest

from loom_common.domain.model_options.params import ParamSpec, resolved, typed
from loom_common.errors import InvalidDefinition

SPECS = {
    "since": ParamSpec(type="date", default="2024-01-01"),
    "limit": ParamSpec.model_validate(10),
    "strict": ParamSpec.model_validate(True),
    "city": ParamSpec(),
}


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("since", "2025-02-03", dt.date(2025, 2, 3)),
        ("limit", "7", 7),
        ("strict", "no", False),
        ("city", "Paris", "Paris"),
    ],
)
def test_text_becomes_a_value_of_the_parameters_type(name, given, value):
    assert typed(SPECS, {"city": "x", name: given})[name] == value


@pytest.mark.parametrize("given", ["nan", "inf", "-Infinity", "1e400", "0x10"])
def test_a_number_that_json_has_no_form_for_is_named(given):
    with pytest.raises(InvalidDefinition, match=rf"found '{given}'; expected a number"):
        typed({"share": ParamSpec(type="number")}, {"share": given})


def test_a_plan_carries_dates_as_text():
    assert resolved(SPECS, {"city": "x"})["since"] == "2024-01-01"


def test_every_wrong_parameter_is_named():
    with pytest.raises(InvalidDefinition) as caught:
        typed(SPECS, {"since": "soon", "nope": 1})
    assert {problem.key for problem in caught.value.problems} == {"params.since", "params.nope", "params.city"}
