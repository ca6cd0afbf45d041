"""Patterns and schemas of the user's are under a limit of time."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from loom_ai.answers.shape import Shape
from loom_common.domain.json_values import patterns
from loom_common.domain.json_values.patterns import Pattern, pattern_of
from loom_common.domain.marks import TIMEOUT
from loom_common.errors import RecordError
from loom_dev.waiting import patience

ENDLESS = r"^(a|aa)+$"
"""A pattern that tries every way of cutting a text of 40 letters before it fails."""
TEXT = "a" * 40 + "b"


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        (r"\d{4}-\d{2}", "on 2024-05 or so", True),
        (r"^x", "ax", False),
        (r"(?i)straße", "STRASSE Straße", True),
        (r"(?P<q>['\"]).*(?P=q)", "say 'so'", True),
        (r"(?<=a)b(?!c)", "abc abd", True),
        (r"[]a]+\]", "x]]", True),
    ],
)
def test_a_pattern_is_searched_anywhere(pattern, text, found):
    assert Pattern(pattern).found_in(text) is found


def test_a_search_without_end_is_the_records_error_and_lets_go_of_the_process_meanwhile():
    beats, ended = [0], threading.Event()

    def beat() -> None:
        while not ended.wait(0.001):
            beats[0] += 1

    beating = threading.Thread(target=beat)
    beating.start()
    try:
        with pytest.raises(RecordError, match="took longer than 2 s on a text of 41 characters") as caught:
            pattern_of(ENDLESS).found_in(TEXT)
    finally:
        ended.set()
        beating.join()
    assert caught.value.code == TIMEOUT
    assert beats[0] > 50


@pytest.mark.parametrize("pattern", ["(", "a{2,1}", "*", "((a{1000}){1000}){1000}", "(?:x{400}){400}"])
def test_what_is_no_pattern_or_too_large_a_one_is_said(pattern):
    began = time.monotonic()
    with pytest.raises(ValueError, match=r"."):
        Pattern(pattern)
    assert time.monotonic() - began < patience(5.0)


@pytest.mark.parametrize(
    "pattern", [r"\d{1,64}@[a-z]{1,255}\.[a-z]{2,63}", r"(\d{1,3}\.){3}\d{1,3}", "x{5000}", r"[{]9{1}"]
)
def test_large_counts_beside_each_other_are_fine(pattern):
    Pattern(pattern)


def _misfit(schema: dict[str, Any], value: Any) -> str | None:
    return Shape({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}).misfit(value)


@pytest.mark.parametrize(
    ("schema", "value", "words"),
    [
        ({"pattern": "^a+$"}, "aaa", None),
        ({"pattern": "^a+$"}, "aab", "'aab' does not match '^a+$'"),
        ({"patternProperties": {"^n_": {"type": "integer"}}}, {"n_a": 1, "x": "y"}, None),
        ({"patternProperties": {"^n_": {"type": "integer"}}}, {"n_a": "1"}, "n_a: '1' is not of type 'integer'"),
        ({"patternProperties": {"^n_": {}}, "additionalProperties": False}, {"n_a": 1, "x": 1}, "('x' was unexpected)"),
        (
            {"properties": {"a": {}}, "additionalProperties": {"type": "string"}},
            {"a": 1, "b": 2},
            "b: 2 is not of type",
        ),
        ({"uniqueItems": True}, [1, 2, True, {"a": 1}, [1]], None),
        ({"uniqueItems": True}, [{"a": 1, "b": 2}, {"b": 2.0, "a": 1}], "has non-unique elements"),
    ],
)
def test_schemas_are_checked_as_they_are_written(schema, value, words):
    found = _misfit(schema, value)
    assert found == words if words is None else words in (found or "")


@pytest.mark.parametrize(
    ("schema", "value", "code"),
    [
        ({"pattern": ENDLESS}, TEXT, TIMEOUT),
        ({"patternProperties": {ENDLESS: {}}}, {TEXT: 1}, TIMEOUT),
        ({"$ref": "#"}, {}, "invalid_output"),
        ({"pattern": "("}, "x", "invalid_output"),
        (
            {"$defs": {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 10} for n in range(20)} | {"d20": {}}}
            | {"$ref": "#/$defs/d0"},
            1,
            TIMEOUT,
        ),
    ],
)
def test_a_check_without_end_is_the_records_error(schema, value, code, monkeypatch):
    monkeypatch.setattr(patterns, "SEARCH_SECONDS", 0.2)
    with pytest.raises(RecordError) as caught:
        _misfit(schema, value)
    assert caught.value.code == code


def test_a_long_list_of_objects_is_seen_once_for_unique_items():
    began = time.monotonic()
    assert _misfit({"uniqueItems": True}, [{"n": n} for n in range(50_000)]) is None
    assert time.monotonic() - began < patience(20.0)
