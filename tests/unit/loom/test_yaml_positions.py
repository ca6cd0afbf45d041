"""Tests mistakes in YAML itself, and where keys stand."""

import json
import re

import pytest

from loom.project.yaml_positions import parse
from loom_common.errors import InvalidDefinition


def mistakes(text):
    with pytest.raises(InvalidDefinition) as caught:
        parse(text, "p.yaml")
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a:\n\tb: 1\n", "p.yaml:2:1: found a tab; expected spaces: YAML is not indented by tabs."),
        ("a: [1, 2\nb: 3", "p.yaml:1:4: found a `[` that is not closed where line 2 goes on; expected a closing `]`."),
        ("a: b: c", "p.yaml:1:5: found a second colon; expected one `key: value` a line;"),
        ("a: {{ x }}", "p.yaml:1:5: found unhashable key; expected quotes around text that begins with a brace."),
        ("a: \x07", "p.yaml:1:4: found the character '\\x07'; expected printable text."),
        ("a: *b", "p.yaml:1:4: found undefined alias 'b'"),
        ("x: &x {y: *x}", "p.yaml:1:4: found an alias that contains itself"),
        ("d: 2024-13-45", "p.yaml:1:4: found 2024-13-45 (month must be in 1..12)"),
        (
            'a: 1\nb: "foo\nc: 2\n',
            "p.yaml:2:4: found a quote that is opened and never closed; expected a closing quote.",
        ),
        ('a: "foo\nb: 1\nc: "x"\n', "p.yaml:1:4: found a quote that is closed only on line 3, by the next quote;"),
        ("a: 'foo\nb: 1\nc: 'x'\n", "p.yaml:1:4: found a quote that is closed only on line 3, by the next quote;"),
        ("a: 'don't do'\n", "p.yaml:1:9: found text where the value had ended; expected a quote within quotes doubled"),
        ("a: {x: 1, y: 2\nb: 3\nc: 4\n", "p.yaml:1:4: found a `{` that is not closed where line 2 goes on;"),
        ("a: {x: 1\n  y: 2}\n", "p.yaml:2:4: found two items without a comma between them; expected a comma."),
        ('a: ["x"\n  "y"]\n', "p.yaml:2:3: found two items without a comma between them; expected a comma."),
        ("l:\n  - {t: a, n: 1\n  - {t: b}\nm: 1\n", "p.yaml:2:5: found a `{` that is not closed where line 3 goes on;"),
        ("name: x\nextract\n  source: a\n", "p.yaml:2:1: found `extract`, which has no colon;"),
        ("e:\n  source a\n  key: b\n", "p.yaml:2:3: found `source a`, which has no colon;"),
        ("a:\n  b: 1\n c: 2\n", "p.yaml:3:2: found a key that is indented otherwise;"),
        ("a:\n  b: 1\n   c: 2\n", "p.yaml:3:4: found a key that is indented further than the one above it;"),
        ("a:\n  b: 1\n \tc: 2\n", "p.yaml:3:2: found a tab; expected spaces"),
        ("a:\tb\n", "p.yaml:1:3: found a tab; expected spaces"),
        (
            "a: &x 1\nb: &x 2\n",
            "p.yaml:2:4: found the anchor `&x` a second time; expected each anchor once (first on line 1).",
        ),
        (
            "a: &base {x: 1}\nb: *bsae\n",
            "p.yaml:2:4: found undefined alias 'bsae'; expected an anchor `&bsae` above it (did",
        ),
        (
            "a: {<<: 5}\n",
            "p.yaml:1:9: found expected a mapping or list of mappings for merging, but found scalar; expected",
        ),
        ("a: - b\n", "p.yaml:1:4: found a list item behind a key; expected a list on lines of its own"),
        ('a: "\\q"\n', "p.yaml:1:6: found unknown escape character 'q'; expected single quotes"),
        ("a: !!python/object:os.system x\n", "p.yaml:1:4: found could not determine a constructor for the tag"),
        ("", "p.yaml:1:1: found an empty file; expected keys and values"),
        ("- 1", "p.yaml:1:1: found a list; expected keys and values"),
        ("id,text\n1,x\n", "p.yaml:1:1: found a text; expected keys and values"),
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


def test_what_was_merged_in_is_placed_where_it_is_written():
    document = parse("base: &b\n  x: 1\n  y: 1\nc:\n  <<: *b\n  y: 2\n", "p.yaml")
    assert document.locate(("c", "x")) == ("p.yaml", 2, 3)
    assert document.locate(("c", "y")) == ("p.yaml", 6, 3)


def test_a_line_of_a_text_is_placed_in_the_file():
    document = parse("a:\n  b: |\n    one\n    two\nc: plain text\nd: 'quoted'\ne: >\n  folded\n", "p.yaml")
    assert document.locate_in(("a", "b"), 2, 3) == ("p.yaml", 4, 7)
    assert document.locate_in(("c",), 1, 7) == ("p.yaml", 5, 10)
    assert document.locate_in(("d",), 1, 1) == ("p.yaml", 6, 5)
    assert document.locate_in(("e",), 1, 1) == ("p.yaml", 7, 1)


def test_yes_and_on_stay_words():
    assert parse("a: yes\nb: on\nc: 2024-01-31", "p.yaml").data["a"] == "yes"


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)
)
"""Nine lines that stand for a billion values."""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BOMB, "values"),
        ("a: " + "[" * 300 + "]" * 300, "nested too deeply"),
        ("a: " + "{b: " * 300 + "}" * 300, "nested too deeply"),
        ('a: 1\nb: "bad \\ud800"', "x.yaml:2:4: found a character that is no text"),
        ('"\\0": 1', "x.yaml:1:1: found a character that is no text"),
    ],
)
def test_a_file_is_bounded_and_of_text_that_can_be_stored(text, words):
    with pytest.raises(InvalidDefinition, match=re.escape(words)):
        parse(text, "x.yaml")


def test_a_pair_of_escapes_is_one_character_as_json_writes_it():
    definition = {"😀 name": "a 😀", "list": ["😀"]}
    document = parse(json.dumps(definition), "x.yaml")
    assert document.data == definition
    assert document.locate(("😀 name",)) == ("x.yaml", 1, 2)
