"""Tests what is said where `loom test` is told to run none of the tests."""

from __future__ import annotations

import pytest

from loom.testing.running.none_chosen import words
from loom.testing.running.options import Options

MANY = [f"case {number}" for number in range(200)]


@pytest.mark.parametrize(
    ("names", "options", "said"),
    [
        (
            ["the prompt praises", "irony", "Order is kept"],
            {"filter": "irnoy"},
            "No test of 3 has 'irnoy' in its name or its file's: did you mean 'irony'?",
        ),
        (
            ["the prompt praises", "irony", "orders are kept", "Order is kept"],
            {"filter": "ORDER IS"},
            "No test of 4 has 'ORDER IS' in its name or its file's: did you mean 'Order is kept' or 'orders are kept'?",
        ),
        (
            MANY,
            {"filter": "zzz"},
            "No test of 200 has 'zzz' in its name or its file's; `loom test` runs all of them.",
        ),
        (
            MANY,
            {"filter": "caes 1"},
            "No test of 200 has 'caes 1' in its name or its file's: did you mean 'case 1' or 'case 10' or 'case 11'?",
        ),
        (
            ["a"],
            {"failed": frozenset({"b"})},
            "None of the tests that failed last is here: `loom test` runs all of them.",
        ),
        (
            ["praise"],
            {"failed": frozenset({"irony"}), "filter": "prais e"},
            "No test of those that failed last has 'prais e' in its name or its file's: did you mean 'praise'?",
        ),
        (["a"], {"failed": frozenset()}, "No test failed when the tests ran last: `loom test` runs all of them."),
    ],
)
def test_one_sentence_says_why_no_test_is_chosen_and_names_the_nearest(names, options, said):
    assert words(names, Options(**options)) == said


def test_a_filter_that_no_test_has_is_told_with_the_nearest_name(loom, recorded):
    none = loom("test", "--filter", "prise")
    assert (none.code, none.out) == (2, "")
    assert none.err == "error: No test of 6 has 'prise' in its name or its file's: did you mean 'praise'?\n"
