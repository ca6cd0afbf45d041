"""Mistakes in YAML itself, and where keys stand."""

import pytest

from loom.yaml_positions import parse
from loom_common.errors import InvalidDefinition


def mistakes(text):
    with pytest.raises(InvalidDefinition) as caught:
        parse(text, "p.yaml")
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a:\n\tb: 1\n", "p.yaml:2:1: found a tab; expected spaces: YAML is not indented by tabs."),
        ("a: [1, 2\nb: 3", "p.yaml:2:2: found expected ',' or ']', but got ':'; expected valid YAML."),
        ("a: b: c", "p.yaml:1:5: found mapping values are not allowed here; expected one `key: value` a line;"),
        ("a: {{ x }}", "p.yaml:1:5: found unhashable key; expected quotes around text that begins with a brace."),
        ("a: \x07", "p.yaml:1: found the character '\\x07'; expected printable text."),
        ("a: *b", "p.yaml:1:4: found undefined alias 'b'"),
        ("x: &x {y: *x}", "p.yaml:1:4: found an alias that contains itself"),
        ("d: 2024-13-45", "p.yaml: found month must be in 1..12"),
        ("", "p.yaml:1:1: found an empty file; expected keys and values"),
        ("- 1", "p.yaml:1:1: found a list; expected keys and values"),
        ("a: 1\n---\nb: 2", "p.yaml:2:1: found another document"),
    ],
)
def test_bad_yaml_is_told_with_its_place(text, message):
    assert len(mistakes(text)) == 1
    assert mistakes(text)[0].startswith(message)


def test_every_key_that_stands_twice_is_told_with_where_it_stood_first():
    assert mistakes("a: 1\nb: {c: 1, c: 2}\na: 3\n") == [
        "p.yaml:2:11: b.c: found the key `c` a second time; expected each key once (first on line 2).",
        "p.yaml:3:1: a: found the key `a` a second time; expected each key once (first on line 1).",
    ]


def test_keys_and_items_are_found_by_line_and_column():
    document = parse("a:\n  - b: 1\n    c: 2\n", "p.yaml")
    assert document.locate(("a", 0, "c")) == ("p.yaml", 3, 5)
    assert document.locate(("a", 0)) == ("p.yaml", 2, 5)


def test_a_key_that_was_left_out_is_placed_at_its_section():
    document = parse("x: 1\na:\n  b: {}\n", "p.yaml")
    assert document.locate(("a", "b", "missing")) == ("p.yaml", 3, 3)
    assert document.locate(("missing",)) == ("p.yaml", 1, 1)


def test_a_merged_section_may_override_what_it_merges():
    document = parse("base: &b {x: 1, y: 1}\nc:\n  <<: *b\n  y: 2\n", "p.yaml")
    assert document.data["c"] == {"x": 1, "y": 2}


def test_yes_and_on_stay_words():
    assert parse("a: yes\nb: on\nc: 2024-01-31", "p.yaml").data["a"] == "yes"
