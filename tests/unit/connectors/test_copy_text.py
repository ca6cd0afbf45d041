"""COPY's text format."""

from __future__ import annotations

import pytest

from loom_connectors.copy_text import copy_text
from loom_connectors.ports import Row


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (None, "text", "\\N"),
        (None, "json", "\\N"),
        ("", "text", ""),
        ("\\N", "text", "\\\\N"),
        ("a\tb\nc\rd\\e", "text", "a\\tb\\nc\\rd\\\\e"),
        (True, "text", "true"),
        (1.5, "text", "1.5"),
        ({"a": [1]}, "text", '{"a":[1]}'),
        ("a", "json", '"a"'),
        ('"', "json", '"\\\\""'),
        (False, "json", "false"),
        (["a", None, 1, 'q"\\'], "array", '{"a",NULL,1,"q\\\\"\\\\\\\\"}'),
        ([[1, 2], [3, 4]], "array", "{{1,2},{3,4}}"),
        ("{1}", "array", "{1}"),
    ],
)
def test_a_value_is_written_for_its_column(value, form, text):
    assert copy_text([Row("r", {"c": value})], ["c"], {"c": form}) == f"{text}\n".encode()


def test_an_absent_value_is_null_and_rows_can_be_numbered():
    rows = [Row("1", {"a": "x", "b": "y"}), Row("2", {"b": ""})]
    assert copy_text(rows, ["a", "b"], {"a": "text", "b": "text"}, numbered=True) == b"0\tx\ty\n1\t\\N\t\n"
