"""Tests the simulated model's answers to texts whose answers are known."""

from __future__ import annotations

import pytest

from loom_ai.simulated.known import KnownAnswers, read_answers, with_known
from loom_common.errors import ConfigurationError

ROWS = "id,text,mood,stars,ok\n" + "".join(
    f"{n},Text no. {n},{'good' if n % 2 else 'bad'},{n},yes\n" for n in range(400)
)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "answers.csv"
    path.write_text(ROWS)
    return path


def test_a_question_that_holds_a_text_is_answered_by_its_row(file):
    known = read_answers(file, "text", {})
    made_up = {"mood": "neither", "stars": 0.5, "ok": False, "why": "because"}
    said = with_known(made_up, known.about('Say what this is:\n"""\nText no. 31\n"""'))
    assert said == {"mood": "good", "stars": 31.0, "ok": True, "why": "because"}
    assert known.about("And `Text no. 312`?")["stars"] == "312", "the longest text that it holds is meant"
    assert known.about("Something else") == {}
    assert with_known("words", known.about("Text no. 31")) == "words"


def test_a_field_may_stand_in_a_column_of_another_name(file):
    known = read_answers(file, "text", {"sentiment": "mood"})
    assert with_known({"sentiment": "?", "mood": "?"}, known.about("Text no. 2")) == {"sentiment": "bad", "mood": "?"}


@pytest.mark.parametrize("seed", [0, 1])
def test_a_share_of_the_texts_is_answered_so_always_the_same(file, seed):
    known = read_answers(file, "text", {}, right=0.8, seed=seed)
    right = [text for text in known.by_text if known.about(text)]
    assert 0.74 < len(right) / 400 < 0.86
    assert right == [text for text in known.by_text if known.about(text)]


def test_seeds_choose_other_texts(file):
    first, second = (
        [bool(read_answers(file, "text", {}, 0.5, seed).about(f"Text no. {n}")) for n in range(50)] for seed in (0, 1)
    )
    assert first != second


@pytest.mark.parametrize(
    ("text", "fields", "words"),
    [
        ("txt", {}, "has no column 'txt'; it has id, text, mood, stars, ok. Did you mean 'text'"),
        (None, {"mood": "moods"}, "Did you mean 'mood'"),
    ],
)
def test_a_column_that_is_not_there_is_told(file, text, fields, words):
    with pytest.raises(ConfigurationError, match=words):
        read_answers(file, text, fields)


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    with pytest.raises(ConfigurationError, match=r"absent\.csv cannot be read: no such file"):
        read_answers(tmp_path / "absent.csv", None, {})
    assert KnownAnswers({}).about("anything") == {}


def test_answers_in_json_lines_may_be_lists_objects_and_null(tmp_path):
    file = tmp_path / "answers.jsonl"
    file.write_text('{"text": "Two wheels", "tags": ["new"], "size": {"cm": 3}, "note": null}\n\n{"text": "A bell"}\n')
    known = read_answers(file, None, {})
    made_up = {"tags": ["amber"], "size": {"cm": 1}, "note": "birch", "other": 1}
    said = with_known(made_up, known.about("What is this: Two wheels?"))
    assert said == {"tags": ["new"], "size": {"cm": 3}, "note": None, "other": 1}
    assert known.about("A bell") == {"text": "A bell"}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("[1]", r"answers\.jsonl:2: an answer is a JSON object, not a list"),
        ('{"a', r"answers\.jsonl:2: invalid control character"),
    ],
)
def test_a_line_that_is_no_answer_is_told_with_its_number(tmp_path, line, words):
    file = tmp_path / "answers.jsonl"
    file.write_text(f'{{"text": "a"}}\n{line}\n')
    with pytest.raises(ConfigurationError, match=words):
        read_answers(file, None, {})
