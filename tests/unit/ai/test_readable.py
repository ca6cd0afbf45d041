"""Answers that are read without asking again, where exactly one object stands in them."""

from __future__ import annotations

import contextlib
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loom_ai.answers.json_in_text import value_in, without_thoughts
from loom_ai.answers.shape import Shape
from loom_ai.answers.structured_output import read
from loom_common.domain.json_values.exact_json import UnfitJson
from loom_common.errors import RecordError
from loom_dev.waiting import patience
from support.scripted_model import answer_of

OBJECT = '{"mood": "good", "of": {"n": [1, 2]}}'
VALUE = json.loads(OBJECT)
AROUND = {
    "nothing": OBJECT,
    "blanks": f"\n {OBJECT} \n",
    "a fence": f"```json\n{OBJECT}\n```",
    "a fence in words": f"Here you are:\n```json\n{OBJECT}\n```\nTell me if you want more.",
    "words": f"Sure! The answer is {OBJECT}. Anything else?",
    "words with braces": f"Of {{all}} the [choices] I take {OBJECT} (see [1]).",
    "think tags": f'<think>It might be {{bad}} or {{"mood": "bad"}}.</think>\n\n{OBJECT}',
    "thinking tags": f"<Thinking>Hm.</Thinking><reflection>No.</reflection>{OBJECT}",
    "think tags the server opened": f'Hm, {{"mood": "bad"}}?\n</think>\n{OBJECT}',
    "harmony": '<|channel|>analysis<|message|>Is {"mood": 1} it?<|end|><|start|>assistant<|channel|>final<|message|>'
    f"{OBJECT}<|return|>",
    "harmony with a constraint": f"<|channel|>final <|constrain|>json<|message|>{OBJECT}",
    "harmony without markers": f'analysisIs it {{"mood": 1}}?assistantfinal{OBJECT}',
}


@pytest.mark.parametrize("around", AROUND)
def test_the_one_object_is_read_whatever_stands_around_it(around):
    assert value_in(AROUND[around]) == VALUE


@pytest.mark.parametrize(
    "text",
    [
        "",
        "It is good.",
        f"{OBJECT} or {OBJECT}",
        f"```json\n{OBJECT}\n```\n```json\n{OBJECT}\n```",
        f"First {{}}, then {OBJECT}",
        '{"outer": {"mood": "good"}, "more": ',
        '{"outer": "odd" "mood": {"mood": "good"}}',
        '{\'outer\': {"mood": "good"}}',
        '{outer: {"mood": "good"}}',
        'A list: [{"mood": "good"}]',
        'A list: [{"mood": "good"}, {"mood"',
        f"<think>{OBJECT}",
        f"<|channel|>analysis<|message|>{OBJECT}",
    ],
)
def test_where_there_is_none_or_several_or_a_broken_one_nobody_guesses(text):
    with pytest.raises(json.JSONDecodeError):
        value_in(text)


@pytest.mark.parametrize("around", [each for each in AROUND if each not in ("nothing", "blanks")])
def test_strict_reads_json_alone(around):
    with pytest.raises(json.JSONDecodeError):
        value_in(AROUND[around], strict=True)


def test_tags_within_an_answer_are_its_own():
    text = '{"mood": "<think>a</think> good </think>"}'
    assert value_in(text) == json.loads(text)
    assert value_in(text, strict=True) == json.loads(text)


MARKERS = (
    "<think>",
    "</think>",
    "<|channel|>",
    "final<|message|>",
    "<|return|>",
    "analysis",
    "assistantfinal",
    "{}",
    '"',
    "[",
)
AROUND_ANY = ("```json\n{}\n```", "Well: {} - that is all.", "Hm.</think>{}", "<|channel|>final<|message|>{}<|return|>")


@given(
    st.lists(st.sampled_from(MARKERS) | st.text(max_size=3), min_size=1, max_size=6).map("".join),
    st.sampled_from(AROUND_ANY),
)
def test_markers_of_reasoning_within_a_value_are_a_part_of_it(text, around):
    said = json.dumps({"mood": text})
    assert value_in(around.replace("{}", said, 1)) == {"mood": text}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<think>Hm.</think>\nIt is fine.", "It is fine."),
        ("It is <think>fine</think>.", "It is <think>fine</think>."),
        ("  It is fine. ", "  It is fine. "),
        ("<think>Hm.", ""),
        ("<think>Hm.</think>", ""),
        ("<|channel|>final<|message|>It is fine.<|return|>", "It is fine."),
        ("The marker <|channel|> begins a channel.", "The marker <|channel|> begins a channel."),
    ],
)
def test_reasoning_before_a_free_text_is_no_part_of_it(text, said):
    assert without_thoughts(text) == said


def test_reasoning_alone_is_no_answer_and_strict_takes_the_text_as_it_is():
    with pytest.raises(RecordError) as caught:
        read(answer_of("<think>Hm.</think>"), None)
    assert caught.value.code == "empty_answer"
    assert read(answer_of("<think>Hm.</think>"), None, strict=True) == {"text": "<think>Hm.</think>"}


@pytest.mark.parametrize(
    "text", ["{" * 50_000, '{"a":' * 50_000, "[" * 50_000, "{x}" * 50_000, "<think>" * 50_000, "[1]" * 50_000]
)
def test_no_text_takes_long_to_be_found_useless(text):
    began = time.perf_counter()
    with pytest.raises(ValueError):
        value_in(text)
    assert time.perf_counter() - began < patience(2)


@given(st.text())
def test_any_text_is_an_object_or_is_said_to_be_none(text):
    with contextlib.suppress(json.JSONDecodeError, UnfitJson):
        value_in(text)


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ('{"n": 1.0}', {"n": 1}),
        ('{"n": 12345678901234567890123}', {"n": 12345678901234567890123}),
        ('{"n": 9007199254740993}', {"n": 9007199254740993}),
        ('{"n": 1e3}', {"n": 1000}),
    ],
)
def test_integers_are_exact_and_are_integers(text, output):
    found = read(answer_of(text), Shape({"n": "integer"}))
    assert (found, type(found["n"])) == (output, int)


@pytest.mark.parametrize(
    "text",
    [
        '{"n": 1, "n": 2}',
        '{"n": NaN}',
        '{"n": Infinity}',
        '{"n": 1e999}',
        '{"n": 0.12345678901234567891}',
        '{"n": 1.5}',
    ],
)
def test_numbers_that_would_change_and_names_that_stand_twice_are_refused(text):
    shape = Shape({"n": "integer" if "1.5" in text else "number"})
    with pytest.raises(RecordError) as caught:
        read(answer_of(text), shape)
    assert caught.value.code == "invalid_output"
