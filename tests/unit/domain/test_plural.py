"""Tests numbers and their nouns."""

import pytest

from loom_common.domain.values.plural import counted


@pytest.mark.parametrize(
    ("number", "words", "said"),
    [
        (0, ("record",), "0 records"),
        (1, ("record",), "1 record"),
        (2, ("record",), "2 records"),
        (1488, ("record",), "1,488 records"),
        (1, ("entry", "entries"), "1 entry"),
        (3, ("entry", "entries"), "3 entries"),
    ],
)
def test_one_is_one_and_thousands_stand_apart(number, words, said):
    assert counted(number, *words) == said
