"""Equal reasons are told together, each with a record to look at."""

from __future__ import annotations

import pytest

from loom_coordinator.accounting.failure_reasons import MOST, grouped, worded


def row(reason, records=1, example="r1", code="transform_error", outcome="quarantined", stage="transform"):
    return {
        "failure_stage": stage,
        "outcome": outcome,
        "code": code,
        "failure_reason": reason,
        "records": records,
        "example": example,
    }


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("transforms:tidy raised KeyError: 'agee'", "KeyError: 'agee' in transforms:tidy"),
        ("transforms:tidy raised ValueError: two\nlines", "ValueError: two in transforms:tidy"),
        ("The answer is no JSON (line 3)", "The answer is no JSON (line 3)"),
        ("first line\nsecond line", "first line"),
    ],
)
def test_what_was_raised_comes_first(reason, words):
    assert worded(reason) == words


def test_reasons_that_differ_in_numbers_alone_are_one():
    rows = [row("in.csv line 17: ragged", 2, "a"), row("in.csv line 3: ragged", 1, "b"), row("other", 1, "c")]
    found = grouped(rows)
    assert [(each.records, each.reason, each.alike, each.example) for each in found] == [
        (3, "in.csv line 17: ragged", False, "a"),
        (1, "other", True, "c"),
    ]


def test_a_rejection_and_an_error_of_the_same_words_are_two():
    assert len(grouped([row("no", outcome="rejected"), row("no")])) == 2


def test_the_most_frequent_reasons_are_told_first_and_no_more_than_a_few():
    found = grouped([row(f"reason {'abcdefgh'[at]}", at) for at in range(8)])
    assert [each.records for each in found] == [7, 6, 5, 4, 3]
    assert len(found) == MOST
