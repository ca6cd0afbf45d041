"""Tests what the record of a group holds, and how it is named."""

from __future__ import annotations

import pytest

from loom_common.domain.steps.functions.aggregates import Folded
from loom_common.domain.steps.grouping import group_hash, group_record_id


def folded(function, values, field="n", most=3):
    made = Folded({"it": (function, field)}, most)
    for at, value in enumerate(values):
        made.add(f"r{at}", {"n": value})
    return str(made.error) if made.error else made.fields["it"]


SAID = {
    "null counts for nothing": ("count", ["a", None, "b"], 2),
    "whole numbers are added exactly": ("sum", [2**70, 1, "-1"], 2**70),
    "texts of a file are numbers": ("mean", ["1", " 2.5 ", 5.5], 3.0),
    "no number has no sum": ("sum", [None], None),
    "texts are compared as texts": ("min", ["2024-02", "2024-01"], "2024-01"),
    "numbers as numbers, and kept as they are": ("max", ["10", "9"], "10"),
    "the first that is there": ("first", [None, "a", "b"], "a"),
    "the last that is there": ("last", ["a", "b", None], "b"),
    "in their order": ("list", ["b", "a", "b"], ["b", "a", "b"]),
    "each once": ("distinct", ["b", 1, "b", True, 1], ["b", 1, True]),
}


@pytest.mark.parametrize(("function", "values", "expected"), SAID.values(), ids=SAID)
def test_what_a_function_says_of_a_group(function, values, expected):
    assert folded(function, values) == expected
    assert type(folded(function, values)) is type(expected)


WRONG = {
    "a text has no sum": ("sum", ["1", "many"], "at the record r1: a value is text that is no number"),
    "a truth value has no mean": ("mean", [True], "neither a number nor text"),
    "too large": ("sum", [1e301], "larger than 1e+300"),
    "numbers and texts are not compared": ("min", ["a", 1], "some of its values are numbers and others are text"),
    "a list that is too long": ("list", [1, 2, 3, 4], "more than 3 values, which `max_items` allows"),
}


@pytest.mark.parametrize(("function", "values", "expected"), WRONG.values(), ids=WRONG)
def test_a_record_that_cannot_be_made_says_of_which_member(function, values, expected):
    told = folded(function, values)
    assert expected in told
    assert told.startswith(f"`it: {{{function}: n}}` cannot be made at the record r")


def test_groups_are_told_apart_as_texts():
    assert group_hash([1]) == group_hash(["1"]) == group_hash([1.0]) != group_hash([1.5])
    assert len({group_hash(each) for each in ([None], ["null"], [""], ["a", "b"], ["ab"], ["a|b"], [])}) == 7
    names = [group_record_id("by", each, None) for each in ([None], ["null"], [""], ["a|b", "c"], ["a", "b|c"], [])]
    assert names == ["by#null", 'by#"null"', "by#", "by#a\\|b|c", "by#a|b\\|c", "by#all"]
    assert group_record_id("by", ["x" * 300], 2) != group_record_id("by", ["x" * 301], 2)
    assert len(group_record_id("by", ["x" * 300], 2)) == 200
