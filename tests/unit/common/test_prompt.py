from __future__ import annotations

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loom_common.domain.prompts.prompt import Prompt
from loom_common.domain.prompts.prompt_check import check_prompt, fields_of
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
    ("value", "words"),
    [
        ("Grüße <b> & 'x' \u2028 顧", "Grüße <b> & 'x' \u2028 顧"),
        ({"zeta": "顧<'&>", "alpha": [1, None]}, '{"zeta": "顧<\'&>", "alpha": [1, null]}'),
        (["é", True, {"b": 1, "a": 2}], '["é", true, {"b": 1, "a": 2}]'),
        (True, "true"),
        (None, "null"),
        (0.1, "0.1"),
        (12345678901234567890123, "12345678901234567890123"),
    ],
)
@pytest.mark.parametrize(
    "text", ["{{ input.x }}", "{{ '' ~ input.x }}", "{{ [input.x] | join }}", "{{ input.x | string }}"]
)
def test_prompts_are_text_a_value_stands_in_them_as_json_writes_it(text, value, words):
    assert _render(text, {"x": value}) == words


def test_json_in_a_prompt_is_utf8_in_the_order_of_fields_without_html_escapes():
    data = {"z": "顧 <a href='x'> & \u2028", "a": {"y": 1, "b": [True, None, 1.5]}}
    plain = '{"z": "顧 <a href=\'x\'> & \u2028", "a": {"y": 1, "b": [true, null, 1.5]}}'
    assert _render("{{ input | tojson }}", data) == plain
    assert _render("{{ input }}", data) == plain
    assert _render("{{ (input | tojson) ~ '<' }}", data) == plain + "<"
    assert _render("{{ input.a | tojson(indent=1) }}", data).startswith('{\n "y": 1,\n "b"')
    assert _render("{{ input.keys() }} {{ input.l | map('upper') }}", {"l": ["é"]}) == '["l"] ["É"]'


@pytest.mark.parametrize(
    "text",
    [
        "{{ 'x' * 10**10 }}",
        "{{ [1] * 10**10 }}",
        "{{ 9 ** (9 ** 9) }}",
        "{{ 'x' | center(10**10) }}",
        "{{ 'x'.ljust(10**10) }}",
        "{{ 'x\ny' | indent(10**10) }}",
        "{{ '%10000000000d' % 1 }}",
        "{{ '%10000000000d' | format(1) }}",
        "{{ '{:10000000000}'.format(1) }}",
        "{{ '{:{}}'.format(1, 10**10) }}",
        "{{ [1] | batch(10**10, 'x') | list }}",
        "{{ input | tojson(indent=10**10) }}",
        "{{ 1 | round(-10**10) }}",
        "{{ 1.5 | round(10**10, 'ceil') }}",
        "{{ input.x.replace('', input.x) }}",
        "{{ input.x | replace('', input.x) }}",
        "{{ input.x | list | join(input.x) }}",
        "{{ input.x.translate({97: input.x}) }}",
        "{% set n = namespace(t='x') %}{% for i in range(60) %}{% set n.t = n.t ~ n.t %}{% endfor %}{{ n.t }}",
        "{% set n = namespace(t='x') %}{% for i in range(60) %}{% set n.t = n.t + n.t %}{% endfor %}{{ n.t }}",
        "{% set n = namespace(t=3) %}{% for i in range(60) %}{% set n.t = n.t * n.t %}{% endfor %}{{ n.t }}",
        "{% for i in range(99999) %}{{ input.x }}{% endfor %}",
        "{% for i in range(10**9) %}{% endfor %}",
        "{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}",
    ],
)
def test_a_prompt_that_grows_without_bound_is_the_records_error(text):
    with pytest.raises(RecordError) as caught:
        _render(text, {"x": "a" * 100_000})
    assert caught.value.code == "prompt"


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


def test_the_fields_that_a_prompt_cannot_do_without_are_known_with_their_places():
    text = (
        "{{ input.review }}\n  {{ input['my id'] }} {{ input.note | default('') }}\n"
        "{% if input.reply is defined %}{{ input.reply }}{% endif %}{{ input.items | length }}"
    )
    assert [(each.name, each.line, each.column) for each in fields_of(text)] == [("review", 1, 4), ("my id", 2, 6)]


@pytest.mark.parametrize(
    ("text", "place", "found"),
    [
        ("Hello {{ input.x", (1, 7), "`{{` that is never closed"),
        ("a {{ input.x\n b {{ input.y }}", (1, 3), "`{{` that is never closed"),
        ('a\n{{ input.x | default("foo) }}\nb', (2, 22), "a quote that is opened and never closed"),
        ("a\n {% if input.x %}\nfoo\n", (2, 2), "`{% if %}` that is never closed"),
        ("{% for a in input.b %}\n{% if a %}\nx{% endif %}", (1, 1), "`{% for %}` that is never closed"),
        ("x\n {# never\n", (2, 2), "`{#` that is never closed"),
        ("x\n {% raw %}\n", (2, 2), "`{% raw %}` that is never closed"),
        ("x {{ input.x | uper }}", (1, 16), "the unknown filter 'uper'"),
        ("{{ 'x' if input.x is emptyy }}", (1, 22), "the unknown test 'emptyy'"),
        ("\n{% unknown %}", (2, 4), "Encountered unknown tag 'unknown'."),
        ("a\n{{ input.x }\n", (2, 1), "`{{` that is never closed"),
        ("{{ input.x }} {{ inptu.y }}", (1, 18), "the unknown variable 'inptu'"),
        ("x {{ params.tome }}", (1, 6), "params.tome"),
        ("x\n{% include 'other.txt' %}", (2, 1), "`include`"),
    ],
)
def test_a_mistake_in_a_prompt_is_placed_where_it_was_made(text, place, found):
    (mistake,) = check_prompt(text, ["domain"], ["tone"])
    assert (mistake.line, mistake.column) == place
    assert mistake.found == found


@pytest.mark.parametrize(
    ("text", "column", "name"),
    [
        ("Mood of {{ input.Customer Feedback }}", 12, "Customer Feedback"),
        ("{{ input.a }} {{ input.Größe in cm | upper }} {{ input.b", None, None),
        ("{{ input.Review Text|upper }}", 4, "Review Text"),
        ("{{ input.a if input.b else }}", None, None),
    ],
)
def test_a_field_with_a_space_behind_a_dot_is_told_as_it_is_written(text, column, name):
    mistake = check_prompt(text, (), ())[0]
    if name is None:
        assert "with a space" not in str(mistake)
    else:
        assert (mistake.column, mistake.expected) == (column, f'`input["{name}"]`')
