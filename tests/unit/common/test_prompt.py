from __future__ import annotations

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loom_common.domain.prompt import Prompt, check_prompt
from loom_common.errors import RecordError


def _render(text, data=None, context=None, params=None):
    return Prompt(text, context or {}, params or {}).render(data or {})


def test_a_prompt_sees_input_context_and_params():
    text = "{{ params.tone }} {{ context.domain }} {{ input.review }}{% if input.stars > 3 %}!{% endif %}"
    assert (
        _render(text, {"review": "good", "stars": 5}, {"domain": "films"}, {"tone": "kindly"}) == "kindly films good!"
    )


@given(st.text())
def test_values_stand_in_the_prompt_as_they_are(value):
    assert _render("<{{ input.x }}>", {"x": value}) == f"<{value}>"


@pytest.mark.parametrize("field", ["items", "keys", "values", "get", "pop", "update", "copy", "title", "name", "a b"])
def test_a_field_is_found_whatever_its_name(field):
    assert _render(f"{{{{ input['{field}'] }}}}", {field: "v"}) == "v"
    if " " not in field:
        assert _render(f"{{{{ input.{field} }}}}", {field: "v"}) == "v"
        assert _render(f"{{{{ input.inner.{field} }}}}", {"inner": {field: "v"}}) == "v"


def test_the_mappings_own_methods_are_there_where_no_field_hides_them():
    assert _render("{% for k, v in input.items() %}{{ k }}={{ v }};{% endfor %}", {"a": 1, "b": 2}) == "a=1;b=2;"


def test_a_whole_record_can_be_given_as_json():
    assert _render("{{ input | tojson }}", {"a": [1, None]}) == '{"a": [1, null]}'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{{ input.reviw }}", "input.reviw, which is not there; there is review, author"),
        ("{{ input['reviw'] }}", "input.reviw"),
        ("{{ context.domain }}", "context.domain, which is not there; there is nothing"),
        ("{{ params.tone }}", "params.tone"),
        ("{{ inputs.review }}", "inputs, which is not there; there is input, context, params"),
        ("{{ input.author.nam }}", "nam, which is not there; there is name"),
        ("{% if input.reviw %}x{% endif %}", "input.reviw"),
        ("{% for x in input.reviw %}x{% endfor %}", "input.reviw"),
    ],
)
def test_a_name_that_is_not_there_is_the_records_error_and_is_named(text, words):
    with pytest.raises(RecordError, match="The prompt names") as caught:
        _render(text, {"review": "good", "author": {"name": "Ann"}})
    assert caught.value.code == "prompt"
    assert words in str(caught.value)


@pytest.mark.parametrize("text", ["{{ input.a / 0 }}", "{{ input.a + 'x' }}", "{{ 'x' | round }}", "{{ input.a.b.c }}"])
def test_an_expression_that_fails_on_the_data_is_the_records_error(text):
    with pytest.raises(RecordError) as caught:
        _render(text, {"a": 1})
    assert caught.value.code == "prompt"


@pytest.mark.parametrize(
    "text",
    [
        "{{ input.__class__.__mro__ }}",
        "{{ ''.__class__.__base__.__subclasses__() }}",
        "{{ input.update({'a': 1}) }}",
        "{{ input.inner.clear() }}",
        "{{ params.__init__.__globals__ }}",
    ],
)
def test_neither_prompt_nor_data_reaches_python(text):
    data = {"a": 0, "inner": {"b": 1}}
    with pytest.raises(RecordError):
        _render(text, data)
    assert data == {"a": 0, "inner": {"b": 1}}


def test_what_stands_in_a_record_is_never_a_template():
    assert _render("{{ input.x }}", {"x": "{{ params.secret }}"}, params={"secret": "s"}) == "{{ params.secret }}"


def test_a_broken_template_is_found_when_it_is_made():
    with pytest.raises(jinja2.TemplateSyntaxError):
        Prompt("{{ input.", {}, {})


@pytest.mark.parametrize(
    ("text", "found", "suggestion"),
    [
        ("one\n{{ inputs.review }}", "line 2: found the unknown variable 'inputs'", "input"),
        ("{{ context.domian }}", "line 1: found context.domian; expected one of domain", "domain"),
        ("{{ context['domian'] }}", "line 1: found context.domian", "domain"),
        ("{{ params.tine }}", "line 1: found params.tine; expected one of tone", "tone"),
        ("{% if params.tine %}{% endif %}", "found params.tine", "tone"),
        ("{{ review }}", "found the unknown variable 'review'", None),
        ("a\n{% for x in %}", "line 2", None),
        ("{{ input.x | shout }}", "shout", None),
        ("{{ input.", "line 1", None),
    ],
)
def test_mistakes_are_seen_without_a_record(text, found, suggestion):
    (mistake,) = check_prompt(text, ["domain"], ["tone"])
    assert found in str(mistake)
    assert mistake.suggestion == suggestion


@pytest.mark.parametrize(
    "text",
    [
        "{{ input.anything }} {{ context.domain }} {{ params.tone }} {{ params['tone'] }}",
        "{% set a = input.x %}{{ a }}{% for r in input.rows %}{{ loop.index }}{{ r }}{% endfor %}",
        "{% macro m(x) %}{{ x }}{{ varargs }}{% endmacro %}{{ m(input.y) }}{{ range(3) }}",
        "{% if params.extra is defined %}{{ params.tone }}{% endif %}{{ context.more | default('') }}",
        "{% for k, v in params.items() %}{{ k }}{% endfor %}",
        "{% raw %}{{ whatever }}{% endraw %}",
    ],
)
def test_a_sound_prompt_has_no_mistakes(text):
    assert check_prompt(text, ["domain"], ["tone"]) == []


def test_every_mistake_is_told_at_once_in_order():
    mistakes = check_prompt("{{ a }}\n{{ context.x }}\n{{ params.y }}", [], [])
    assert [mistake.line for mistake in mistakes] == [1, 2, 3]


def test_fields_are_checked_where_they_are_known():
    (mistake,) = check_prompt("{{ input.reviw }}{{ input.id }}", [], [], fields=["id", "review"])
    assert (mistake.found, mistake.suggestion) == ("input.reviw", "review")
