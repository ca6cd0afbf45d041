"""Tests what is known of parameters that nothing of a run looks at."""

import pytest

from loom.project.parameters import unused
from loom.project.prompt_files import PromptText

PROMPT = PromptText("On {{ params.day }}: {{ input.text }}", ("transform", "prompt"), None, None)


@pytest.mark.parametrize(
    ("extract", "load", "prompt", "names"),
    [
        ({"source": "x.csv"}, {}, None, ["day"]),
        ({"source": "x.csv"}, {}, PROMPT, []),
        ({"source": "sqlite:///x.db", "query": "SELECT * FROM t WHERE day = {{ day }}"}, {}, None, []),
        ({"source": "sqlite:///x.db", "query": "SELECT day, '{day}' FROM t"}, {}, None, ["day"]),
        ({"source": "rest+https://h/x", "options": {"params": {"on": "{{ day }}"}}}, {}, None, []),
        ({"source": "rest+https://h/x", "options": {"body": [{"on": "from {{ params.day }} on"}]}}, {}, None, []),
        ({"source": "rest+https://h/x", "options": {"params": {"day": "today"}}}, {}, None, ["day"]),
        ({"source": "x.csv"}, {"options": {"params": {"on": "{{ day }}"}}}, None, []),
        ({"source": "python:reading:rows"}, {}, None, []),
        ({"source": "acme.systems:Crm://host/rows"}, {}, None, []),
        ({"source": "${WAREHOUSE}"}, {}, None, []),
        ({"source": "${WAREHOUSE}", "query": "SELECT 1"}, {}, None, ["day"]),
        ({"source": "x.csv"}, {"destination": "python:writing:rows"}, None, ["day"]),
    ],
)
def test_a_parameter_is_unused_where_nothing_of_a_run_can_look_at_it(extract, load, prompt, names):
    definition = {"params": {"day": {"type": "date"}}, "extract": extract, "load": {"destination": "y.csv", **load}}
    assert unused(definition, prompt) == names


def test_without_parameters_none_is_unused():
    assert unused({"extract": {"source": "x.csv"}}, None) == []
