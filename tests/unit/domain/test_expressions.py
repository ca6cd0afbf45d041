"""Tests the expressions that steps ask of a record: what they read of it, what is true of it, and what is refused."""

from __future__ import annotations

import pytest

from loom_common.domain.steps.expressions import ExpressionMistake, expression
from loom_common.errors import RecordError

EXPRESSIONS = {
    "stars < 3 && review.contains('bad')": ({"stars": 2, "review": "so bad"}, True),
    "has(record.note) ? record.note == 'x' : false": ({}, False),
    "record['Review Text'] != null": ({"Review Text": "a"}, True),
    "tags.exists(tag, tag == 'b')": ({"tags": ["a", "b"]}, True),
    "stars > 2": ({"stars": 2.5}, True),
}


READS = {
    "tags.exists(tag, tag == 'vip')": {"tags"},
    "record.tags.map(t, t.kind)[0] == kind": {"tags", "kind"},
    "has(record.note) || 'c' in record": set(),
    "record['Review Text'] != 'record.other'": {"Review Text"},
}


@pytest.mark.parametrize("text", READS)
def test_it_is_known_which_fields_an_expression_needs(text):
    assert set(expression(text).reads) == READS[text]


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_an_expression_is_true_of_a_record_or_not(text):
    view, value = EXPRESSIONS[text]
    assert expression(text).holds(view) is value


def test_an_expression_that_a_record_does_not_fit_says_why_without_its_values():
    for text, view, words in [
        ("stars < 3", {"stars": "secret"}, "stars is a text"),
        ("stars < 3", {}, "names stars, which the record does not have"),
        ("stars", {"stars": 3}, "neither true nor false"),
    ]:
        with pytest.raises(RecordError, match=words) as failed:
            expression(text).holds(view)
        assert "secret" not in str(failed.value)


@pytest.mark.parametrize(
    "text", ["(" * 5_000, "!" * 1_900 + "true", "a" + "?b:c" * 400, "[" * 500 + "]" * 500, "x" * 3_000, ""]
)
def test_an_expression_that_would_take_the_parser_down_is_refused(text):
    with pytest.raises(ExpressionMistake):
        expression(text)
