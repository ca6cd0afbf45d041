"""Tests what is wrong with steps that resolve, which records are the same, and what is known of what they make."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loom_common.domain.checks.field_names import compared
from loom_common.domain.definition.reader import parse
from loom_common.domain.steps.functions.entities import entities, pairs, pieces, similarity
from loom_common.domain.values.fields import Fields
from loom_common.errors import InvalidDefinition, Problem

WHO = {"name": "who", "type": "resolve", "block": "city", "compare": ["name"]}
ASKED = {**WHO, "model": "gpt-4o", "prompt": "Same? {{ input.name }} {{ other.name }}"}


def definition(*steps, load=None, **sections):
    return {
        "name": "people",
        "extract": {"source": "people.csv", "key": "id"},
        "transform": {"steps": list(steps)},
        "load": {"destination": "out.csv", **(load or {})},
        **sections,
    }


WRONG = {
    "no block": ([{**WHO, "block": []}], "transform.steps[0].block", "1"),
    "nothing to compare": ([{**WHO, "compare": []}], "transform.steps[0].compare", "1"),
    "a condition": ([{**WHO, "when": "n > 1"}], "transform.steps[0].when", "a `filter` before it"),
    "a prompt for nobody": ([{**WHO, "prompt": "Same?"}], "transform.steps[0].prompt", "no `prompt` without"),
    "a confidence of nobody": ([{**WHO, "confidence": 0.9}], "transform.steps[0].confidence", "no `confidence`"),
    "no function": ([{**WHO, "fields": {"x": {"median": "n"}}}], "transform.steps[0].fields.x", "count, sum, mean"),
    "a field twice": ([{**WHO, "fields": {"city": "count"}}], "transform.steps[0].fields.city", "another name"),
    "its own field": ([{**WHO, "fields": {"who_id": "count"}}], "transform.steps[0].fields.who_id", "has `who_id`"),
    "an unknown step": ([{**WHO, "needs": ["a"]}], "transform.steps[0].needs[0]", "the name of a step"),
    "a step beside it": (
        [WHO, {"name": "c", "type": "python", "function": "code:made"}], "transform.steps[1]", "or a step that who",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_about_resolving_is_told_with_its_place(case):
    steps, key, words = WRONG[case]
    with pytest.raises(InvalidDefinition) as refused:
        parse(definition(*steps))
    assert [each.key for each in refused.value.problems if words in each.expected][:1] == [key]


def test_sensitive_values_that_would_stand_in_clear_are_refused():
    step = {**WHO, "fields": {"label": {"first": "name"}}}
    with pytest.raises(InvalidDefinition) as refused:
        parse(definition(step, sensitive=["name", "city"]))
    found = {each.key: each.expected for each in refused.value.problems}
    assert "would stand in the ids of groups" in found["transform.steps[0].block"]
    assert "add `label` to `sensitive`" in found["transform.steps[0].fields.label"]


def test_a_step_that_resolves_brings_its_group_which_is_written_out_once():
    pipeline = parse(definition({**WHO, "max_block": 7}))
    again = parse(pipeline.model_dump(mode="json", by_alias=True, exclude_none=True))
    for made in (pipeline, again):
        assert [(each.name, each.type, each.needs) for each in made.transform.steps] == [
            ("who", "resolve", ["who_blocks"]), ("who_blocks", "group", []),
        ]  # fmt: skip
    assert pipeline.transform.steps[1].size == 7


class _Keys:
    def problem(self, path, found, expected, suggestion=None):
        return Problem(path, found, expected, suggestion)


def test_the_fields_that_are_compared_are_those_of_the_source_and_those_of_entities_are_known():
    written = definition(WHO, {"name": "f", "type": "filter", "where": "x > 1", "needs": "who"})
    assert compared(_Keys(), _long(written), None, Fields(("id", "name", "city"), certain=True)).problems == ()
    wrong = definition({**WHO, "compare": ["nam"], "fields": {"n": "count"}}, load={"key": ["city", "m"]})
    found = compared(_Keys(), _long(wrong), None, Fields(("id", "name", "city"), certain=True)).problems
    assert [(each.key, each.suggestion) for each in found][:1] == [("transform.steps[0].compare", "name")]


def _long(written):
    return {**written, "transform": parse({**written, "load": {"destination": "o.csv"}}).transform.model_dump()}


def test_texts_are_alike_by_the_parts_that_both_have():
    one, other = pieces("Anna Smith"), pieces("anna  SMITH")
    assert similarity(one, other) == 1.0
    assert 0.6 < similarity(one, pieces("Ana Smith")) < 1.0
    assert similarity(pieces(""), pieces("")) == 0.0
    assert [each[:2] for each in pairs(["Anna Smith", "Bob", "Ana Smith", "anna smith"], 0.5)] == [
        (0, 3),
        (0, 2),
        (2, 3),
    ]


@given(st.data())
def test_entities_do_not_depend_on_the_order_of_the_pairs(data):
    size = data.draw(st.integers(1, 12))
    places = st.integers(0, size - 1)
    same = data.draw(st.lists(st.tuples(places, places), max_size=20))
    found = entities(size, same)
    shuffled = [pair[::-1] if data.draw(st.booleans()) else pair for pair in data.draw(st.permutations(same))]
    assert entities(size, shuffled) == found
    assert sorted(at for each in found for at in each) == list(range(size))
    owner = {at: number for number, each in enumerate(found) for at in each}
    assert all(owner[one] == owner[other] for one, other in same)
    assert len(found) >= size - len(same)
