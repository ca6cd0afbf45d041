"""Tests what recorded answers are given for, when models are asked, and what stands in the file."""

import asyncio
import json

import pytest

from loom_ai.recordings.cassette import Cassette, recording_key
from loom_ai.recordings.recorder import RecordedClient, Recorder, Source, tells_of_no_answer
from loom_common.errors import ConfigurationError, RecordError
from support.scripted_model import ScriptedModel, answer_of, call_of


def answered(recorder, model, *calls):
    """Ask the questions at the same time, and return the answers, or errors."""

    async def ask():
        client = RecordedClient(recorder, model)
        return await asyncio.gather(*(client.complete(call) for call in calls), return_exceptions=True)

    return asyncio.run(ask())


def recorder_of(path, source=Source.RECORDED, **more):
    recorder = Recorder(source, **more)
    recorder.use(Cassette.load(path))
    return recorder


def recorded(path, *answers, **more):
    """Record answers to as many questions in a file; give the recorder."""
    recorder = recorder_of(path, Source.MISSING, **more)
    calls = [call_of(f"question {number}") for number, _ in enumerate(answers)]
    answered(recorder, ScriptedModel(*answers), *calls)
    recorder.cassette.save(unused=False)
    return recorder


def test_a_recorded_answer_is_given_as_it_was(tmp_path):
    answer = answer_of("a\nb", tokens_cached=3, latency=1.5, noted=("image",))
    recorded(tmp_path / "c.json", answer)
    model = ScriptedModel()
    assert answered(recorder_of(tmp_path / "c.json"), model, call_of("question 0")) == [answer]
    assert not model.calls


def test_the_key_is_that_of_the_question_and_not_of_its_endpoint():
    assert recording_key(call_of("a")) == recording_key(call_of("a", base_url="https://elsewhere/v1", api_key="${K}"))
    for other in (
        call_of("b"),
        call_of("a", model="m"),
        call_of("a", max_tokens=3),
        call_of("a", schema={"type": "x"}),
    ):
        assert recording_key(other) != recording_key(call_of("a"))


def test_what_is_not_recorded_is_an_error_that_says_what_to_do(tmp_path):
    (error,) = answered(recorder_of(tmp_path / "none.json"), ScriptedModel(), call_of())
    assert isinstance(error, RecordError)
    assert "loom test --update" in str(error)
    assert tells_of_no_answer(error.code, None)
    assert tells_of_no_answer("evaluator_error", f"Evaluator judge: {error}")
    assert not tells_of_no_answer("gate", "judge evaluator below threshold (0.1 < 0.5)")


def test_the_file_has_the_same_order_whichever_answer_came_first(tmp_path):
    calls = [call_of(f"question {number}") for number in range(5)]
    texts = []
    for order in (calls, calls[::-1]):
        recorder = recorder_of(tmp_path / "c.json", Source.LIVE)
        answered(recorder, ScriptedModel(), *order)
        recorder.cassette.save(unused=False)
        texts.append((tmp_path / "c.json").read_text())
    assert texts[0] == texts[1]


def test_lines_of_a_text_are_lines_of_the_file(tmp_path):
    recorded(tmp_path / "c.json", answer_of('{"a":\n1}'))
    assert json.loads((tmp_path / "c.json").read_text())["answers"][0]["answer"] == ['{"a":', "1}"]


def test_a_refusal_of_an_endpoint_is_recorded(tmp_path):
    refusal = RecordError("m refused the request (too long)", code="model_refused", details={"status": 400})
    recorded(tmp_path / "c.json", refusal)
    (error,) = answered(recorder_of(tmp_path / "c.json"), ScriptedModel(), call_of("question 0"))
    assert (str(error), error.code, error.details) == (str(refusal), "model_refused", {"status": 400})


def test_secrets_and_what_the_tests_name_are_redacted(tmp_path):
    recorder = Recorder(Source.LIVE, redact=lambda text: text.replace("hunter2", "***"))
    recorder.use(Cassette(tmp_path / "c.json"), lambda text: text.replace("ann@example.com", "[redacted]"))
    (answer,) = answered(recorder, ScriptedModel(answer_of("hunter2 wrote")), call_of("ann@example.com has hunter2"))
    recorder.cassette.save(unused=False)
    text = (tmp_path / "c.json").read_text()
    assert "hunter2" not in text
    assert "ann@" not in text
    assert answer.text == "*** wrote", "a recording run is given what a replay will be given"


def test_equal_questions_of_one_round_are_asked_once_and_in_the_next_round_again(tmp_path):
    recorder = recorder_of(tmp_path / "c.json", Source.LIVE)
    model = ScriptedModel()
    answered(recorder, model, call_of())
    answered(recorder, model, call_of())
    assert len(model.calls) == 1
    recorder.next_round()
    answered(recorder, model, call_of())
    assert len(model.calls) == 2


@pytest.mark.parametrize(("budget", "made"), [(0.0, 0), (0.0185, 3), (1.0, 8)])
def test_no_call_is_made_whose_worst_case_the_budget_does_not_cover(tmp_path, budget, made):
    """No call passes the budget: an answer costs 0.00021 USD here, and at worst 0.01801. With 0.0185, the worst case
    of a fourth does not fit. All are asked at once, and those that may fit later wait."""
    recorder = recorder_of(tmp_path / "c.json", Source.LIVE, budget=budget)
    model = ScriptedModel(answer_of(tokens_in=1000, tokens_out=100))
    calls = [call_of(f"question {number}", max_tokens=30_000) for number in range(8)]
    results = answered(recorder, model, *calls)
    refused = [each for each in results if isinstance(each, RecordError)]
    assert (len(model.calls), recorder.counts.calls, len(refused)) == (made, made, 8 - made)
    assert recorder.counts.paid <= budget
    assert all("--budget" in str(each) for each in refused)


def test_an_answer_is_written_down_before_the_next_question_is_answered(tmp_path):
    """A process that is killed while it records has paid for nothing twice but what was in flight."""
    recorder = recorder_of(tmp_path / "c.json", Source.MISSING, records=True)
    answered(recorder, ScriptedModel(), call_of("question 0"))
    assert len(Cassette.load(tmp_path / "c.json").recordings) == 1


def test_recordings_that_nothing_used_are_dropped_or_kept(tmp_path):
    recorded(tmp_path / "c.json", answer_of("a"), answer_of("b"))
    for unused, left in ((True, 2), (False, 1)):
        recorder = recorder_of(tmp_path / "c.json")
        answered(recorder, ScriptedModel(), call_of("question 0"))
        recorder.cassette.save(unused=unused)
        assert len(Cassette.load(tmp_path / "c.json").recordings) == left


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"version": 2, "answers": []}', '{"version": 1, "answers": [{"key": 1}]}']
)
def test_a_file_that_cannot_be_read_is_told_with_what_to_do(tmp_path, text):
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(ConfigurationError, match=r"c\.json.*loom test --update"):
        Cassette.load(tmp_path / "c.json")


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("Say what it is.\nBe short.\nReview: good", "(- recorded, + now): - Be kind.; + Be short."),
        ("Say what it is.\nBe kind.\nReview: good", "another model, parameter or output shape was asked for"),
        ("Something else", None),
    ],
)
def test_a_question_without_an_answer_is_compared_with_the_nearest_one(tmp_path, question, words):
    before = call_of("Say what it is.\nBe kind.\nReview: good")
    others = [call_of("Say what it is.\nBe kind.\nReview: bad"), call_of("Not like it")]
    recorder = recorder_of(tmp_path / "c.json", Source.MISSING)
    answered(recorder, ScriptedModel(), *others, before)
    recorder.cassette.save(unused=False)
    (error,) = answered(recorder_of(tmp_path / "c.json"), ScriptedModel(), call_of(question, max_tokens=7))
    assert words in str(error) if words else str(error).endswith("`loom test --live`.")
