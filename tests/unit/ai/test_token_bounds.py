"""Tests the bounds of how many tokens a question has."""

import pytest

from loom_ai.pacing.token_bounds import about, most
from support.scripted_model import call_of


@pytest.mark.parametrize(
    "text", ["plain English words", "Größe, naïve, déjà vu", "日本語のテキスト", '{"a": [1, 2, 3]}', ""]
)
def test_a_question_has_at_most_as_many_tokens_as_bytes(text):
    assert most(call_of(text)) >= len(text.encode())
    assert about(text) <= most(call_of(text))
