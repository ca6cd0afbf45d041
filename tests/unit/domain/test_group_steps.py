"""Tests what is wrong with steps that make one record of many, and what is known of the records that they make."""

from __future__ import annotations

import pytest

from loom_common.domain.checks.field_names import compared
from loom_common.domain.definition.reader import parse
from loom_common.domain.steps.graph import graph_of
from loom_common.domain.values.fields import Fields
from loom_common.errors import InvalidDefinition

ASK = {"name": "a", "type": "ai", "model": "gpt-4o", "prompt": "Say", "output": {"b": "string"}}
BY = {"name": "by", "type": "group", "by": "kind", "fields": {"many": "count", "all": {"list": "b"}}}
ROUTE = {"name": "way", "type": "router", "routes": {"left": "n > 1"}, "otherwise": "right"}


def definition(*steps, load=None, **sections):
    return {
        "name": "grouped",
        "extract": {"source": "reviews.csv", "key": "id"},
        "transform": {"steps": list(steps)},
        "load": {"destination": "out.csv", **(load or {})},
        **sections,
    }


def python(name, *needs, **keys):
    return {"name": name, "type": "python", "function": "code:made", "needs": list(needs), **keys}


AFTER = {**BY, "needs": ["a"]}
WRONG = {
    "a step beside it": ([ASK, AFTER, python("c")], "steps[2]", "`needs: [by]`, or a step that by needs"),
    "a branch past it": ([ASK, {**ROUTE, "needs": ["a"]}, {**BY, "needs": ["way.left"]}], "needs", "every record"),
    "a condition": ([ASK, {**AFTER, "when": "n > 1"}], "when", "a `filter` before it"),
    "one that may fail": ([ASK, {**AFTER, "criticality": "optional"}], "criticality", "no `criticality: optional`"),
    "parts that are gathered": (
        [{"name": "p", "type": "unnest", "field": "ns"}, {**BY, "fields": {"many": "count"}, "needs": ["p"]},
         {"name": "g", "type": "gather", "fields": {"x": "ns"}, "needs": ["by"]}],
        "needs", "after an `unnest` or a `split`",
    ),
    "a branch of before": ([ROUTE, ASK, {**AFTER, "needs": ["way", "a"]}, python("c", "by", "way.left")],
                           "needs[1]", "the records that by groups took different ones"),
    "a field of before": ([ASK, AFTER, python("c", "by", when="b == 'x'")], "when", "a field that by gives"),
    "no function": ([ASK, {**AFTER, "fields": {"x": {"median": "b"}}}], "fields.x", "count, sum, mean, min"),
    "two functions": ([ASK, {**AFTER, "fields": {"x": {"min": "b", "max": "b"}}}], "fields.x", "one function"),
    "a field twice": ([ASK, {**AFTER, "fields": {"kind": "count"}}], "fields.kind", "another name"),
    "a number without a size": ([ASK, {**AFTER, "number": "n"}], "number", "no `number` without `size`"),
    "a dedupe by what comes later": ([ASK, {"name": "o", "type": "dedupe", "by": ["b"]}], "by[0]", "[a]` here"),
    "a dedupe by nothing": ([{"name": "o", "type": "dedupe", "by": []}], "by", "1"),
    "nothing of a group": ([ASK, {**AFTER, "fields": {}}], "fields", "1"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_about_groups_is_told_with_its_place(case):
    steps, key, words = WRONG[case]
    with pytest.raises(InvalidDefinition) as refused:
        parse(definition(*steps))
    found = {each.key: each.expected for each in refused.value.problems}
    place = next((each for each in found if each.endswith(key)), None)
    assert place is not None, found
    assert words in found[place], found


ELSEWHERE = {
    "sensitive values of groups": ({"sensitive": ["kind"]}, "would stand in the ids of groups"),
    "sensitive values under another name": ({"sensitive": ["b"]}, "add `all` to `sensitive`"),
    "a field of the source": ({"load": {"destination": "out.csv", "include": ["review"]}}, "a field that a group has"),
    "a key that is no group's": (
        {"load": {"destination": "out.csv", "mode": "upsert", "key": ["many"]}}, "`kind` among them",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ELSEWHERE)
def test_what_does_not_fit_groups_in_other_sections_is_told(case):
    sections, words = ELSEWHERE[case]
    with pytest.raises(InvalidDefinition, match=words):
        parse({**definition(ASK, AFTER), **sections})


def test_hashes_of_sensitive_values_are_not_kept():
    with pytest.raises(InvalidDefinition, match="hashes of the values of `email` would be kept"):
        parse({**definition({"name": "o", "type": "dedupe", "by": "email"}), "sensitive": ["email"]})


def test_rows_of_groups_have_the_fields_of_their_group_as_their_key():
    pipeline = parse(definition(ASK, {**AFTER, "size": 10}, {**ASK, "name": "c", "needs": ["by"]}))
    assert (pipeline.row_key, pipeline.carried_key) == (("kind", "by_number"), ())
    schema = pipeline.transform.declared_schema
    assert list(schema["properties"]) == ["kind", "many", "all", "by_number", "b"]
    assert schema["properties"]["all"] == {"type": "array"}
    plain = parse(definition(ASK))
    assert (plain.row_key, plain.carried_key) == (("id",), ("id",))


def test_steps_after_a_group_see_its_fields_and_those_of_steps_since():
    steps = [ASK, AFTER, python("c", "by", output={"d": "string"}), {**BY, "name": "again", "by": [], "needs": ["c"]}]
    graph = graph_of(steps)
    assert graph.groups == ("by", "again")
    assert {name: graph.visible[name] for name in graph.visible} == {
        "a": (), "by": ("a",), "c": ("by",), "again": ("by", "c"),
    }  # fmt: skip
    assert (graph.group_after(None), graph.group_after("by"), graph.group_after("again")) == ("by", "again", None)


def test_fields_that_a_group_lacks_are_told_whatever_the_source_has():
    scorer = {"name": "s", "type": "scorer", "scorer": "vader", "field": "review", "needs": ["by"]}
    written = definition(ASK, {**AFTER, "by": "knid"}, scorer)
    found = compared(Nowhere(), written, None, Fields(("id", "kind", "review"), certain=True)).problems
    assert [(each[0][-1], each[1]) for each in found] == [
        ("by", "'knid'"),
        ("field", "'review' (the source has it, not the output)"),
    ]


class Nowhere:
    """Says where keys are written: nowhere."""

    def problem(self, path, found, expected, suggestion=None):
        return (path, found, expected, suggestion)
