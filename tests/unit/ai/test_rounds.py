"""Tests several calls of one question: samples, votes, judges and refinement."""

from __future__ import annotations

import orjson
import pytest

from loom_ai.answers.shape import Shape
from loom_ai.answers.structured_output import ask
from loom_ai.http.endpoints import endpoint_of
from loom_ai.journal.models import JournalledModels, Reuse
from loom_ai.keys import key_of
from loom_ai.ports import Payer
from loom_ai.rounds.gleaning import Refining, refined
from loom_ai.rounds.judging import JudgeModel
from loom_ai.rounds.samples import Sampling, best_judged, first_valid, voted
from loom_ai.rounds.votes import normalised, winner
from loom_ai.stores.memory.journal import MemoryJournal
from loom_common.errors import DependencyUnavailable
from loom_common.worker.usage import Usage
from support.scripted_model import ScriptedModel, answer_of, call_of

MOOD = Shape({"mood": "string"})


def _says(*moods):
    """Answer with these moods in the order of the samples, whatever the order of the calls."""

    def answer(call):
        mood = moods[call.sample]
        return answer_of("no JSON" if mood is None else orjson.dumps({"mood": mood}).decode())

    return answer


def _scores(scores, answer):
    """Answer as `answer` does, and judge by the first mood that stands in the judge's question."""

    def either(call):
        if call.purpose != "judge":
            return answer(call)
        shown = call.messages[0].content.rpartition("### Answer\n")[2]
        score = next(score for mood, score in scores.items() if mood in shown)
        return answer_of(orjson.dumps({"score": score, "reasons": f"{score} because"}).decode())

    return either


class _Asked:
    def __init__(self, *script, journal=None):
        self.model = ScriptedModel(*script)
        self.models = JournalledModels(self.model, journal or MemoryJournal())
        self.usage = Usage()
        self.payer = Payer("run_1", "r0", self.usage)
        endpoint = endpoint_of("gpt-4o", "http://127.0.0.1:20001/v1")
        self.judge = JudgeModel(self.models, endpoint, "Be strict.", Reuse()).on_account_of(self.payer)

    async def once(self, call):
        return await ask(self.models, call, self.payer, MOOD)

    @property
    def purposes(self):
        return {line.purpose: line.made for line in self.usage.lines()}


@pytest.mark.parametrize(
    ("moods", "by", "at", "votes"),
    [
        (["good", "bad", "good"], None, 0, 2),
        (["bad", "good", " GOOD "], None, 1, 2),
        (["bad", "good"], None, 0, 1),
        (["good", "bad", "bad", "good"], None, 0, 2),
        (["bad", "good", "good"], "mood", 1, 2),
        (["bad", "good", "good"], "absent", 0, 3),
    ],
)
def test_the_most_frequent_answer_wins_and_of_equals_the_one_asked_for_first(moods, by, at, votes):
    assert winner([{"mood": mood} for mood in moods], by) == (at, votes)


@pytest.mark.parametrize(
    ("one", "other", "agree"),
    [
        ({"a": 1, "b": "x"}, {"b": "X ", "a": 1.0}, True),
        ({"a": True}, {"a": 1}, False),
        ({"a": "1"}, {"a": "one"}, False),
        ({"a": [1, 2]}, {"a": [2, 1]}, False),
        ({"a": 10**40}, {"a": 10**40}, True),
        ({"a": None}, {"a": ""}, False),
    ],
)
def test_answers_agree_that_differ_in_how_they_are_written(one, other, agree):
    assert (normalised(one) == normalised(other)) is agree


async def test_every_sample_is_a_call_of_its_own_and_the_most_frequent_answer_is_the_output():
    asked = _Asked(_says("good", "bad", "Good", None, "good"))
    reply = await voted(call_of(), asked.once, Sampling(5))
    assert (reply.output, reply.agreement) == ({"mood": "good"}, 0.6)
    assert asked.purposes == {"transform": 1, "sample": 4, "repair": 1}
    assert reply.spent.calls_made == len(asked.model.calls) == 6


async def test_samples_that_were_answered_are_not_asked_for_again():
    journal = MemoryJournal()
    await voted(call_of(), _Asked(_says("good", "bad", "good"), journal=journal).once, Sampling(3))
    again = _Asked(_says("good", "bad", "good", "good", "good"), journal=journal)
    reply = await voted(call_of(), again.once, Sampling(5))
    assert [call.sample for call in again.model.calls] == [3, 4]
    assert reply.agreement == 0.8


def test_the_number_of_a_sample_is_part_of_its_key_and_the_first_has_that_of_the_question_asked_once():
    keys = {key_of(call_of(sample=at)) for at in range(5)}
    assert len(keys) == 5
    assert key_of(call_of()) in keys


async def test_without_a_valid_sample_the_first_error_is_the_records():
    asked = _Asked(_says(None, None))
    reply = await voted(call_of(), asked.once, Sampling(2))
    assert (reply.output, reply.error.code, reply.spent.calls_made) == (None, "invalid_output", 4)


async def test_the_first_valid_sample_is_taken_and_no_further_one_is_asked_for():
    asked = _Asked(_says(None, "good", "bad"))
    reply = await first_valid(call_of(), asked.once, 3)
    assert (reply.output, reply.agreement) == ({"mood": "good"}, None)
    assert [call.sample for call in asked.model.calls] == [0, 0, 1]


async def test_a_failure_of_one_sample_that_concerns_more_than_the_record_is_raised_as_it_is():
    asked = _Asked(DependencyUnavailable("the model is away"))
    with pytest.raises(DependencyUnavailable):
        await voted(call_of(), asked.once, Sampling(3))


async def test_a_judge_picks_the_sample_with_the_highest_score_and_judges_equal_ones_once():
    asked = _Asked(_scores({"good": 0.4, "fair": 0.9, "bad": 0.9}, _says("good", "fair", "bad", "Fair")))
    reply = await best_judged(call_of(), asked.once, Sampling(4), asked.judge)
    assert (reply.output, reply.agreement) == ({"mood": "fair"}, 0.5)
    assert asked.purposes == {"transform": 1, "sample": 3, "judge": 3}
    assert reply.spent.calls_made == 7
    judged = next(call for call in asked.model.calls if call.purpose == "judge")
    assert "Be strict." in judged.messages[0].content
    assert "How is it?" in judged.messages[0].content


async def test_samples_that_nobody_could_judge_are_no_output():
    def rambling(call):
        return answer_of("hm") if call.purpose in ("judge", "repair") else _says("good", "bad")(call)

    asked = _Asked(rambling)
    reply = await best_judged(call_of(), asked.once, Sampling(2), asked.judge)
    assert (reply.output, reply.error.code) == (None, "not_judged")
    assert "gpt-4o" in str(reply.error)


def _by_turns(*moods):
    """Answer with these moods, one for each round of refinement."""
    return lambda call: answer_of(orjson.dumps({"mood": moods[len(call.messages) // 2]}).decode())


@pytest.mark.parametrize(
    ("scores", "rounds", "kept", "purposes"),
    [
        ({"one": 0.8}, 2, "one", {"transform": 1, "judge": 1}),
        ({"one": 0.3, "two": 0.9}, 2, "two", {"transform": 1, "judge": 2, "refine": 1}),
        ({"one": 0.3, "two": 0.2}, 1, "one", {"transform": 1, "judge": 2, "refine": 1}),
        ({"one": 0.3, "two": 0.3}, 1, "two", {"transform": 1, "judge": 2, "refine": 1}),
    ],
)
async def test_an_answer_is_refined_until_it_is_accepted_and_the_best_is_kept(scores, rounds, kept, purposes):
    asked = _Asked(_scores(scores, _by_turns("one", "two", "three")))
    reply = await refined(call_of(), asked.once, Refining(rounds, 0.8), asked.judge)
    assert reply.output == {"mood": kept}
    assert asked.purposes == purposes
    assert reply.spent.calls_made == sum(purposes.values())


async def test_the_model_is_told_what_the_judge_said_of_its_answer():
    asked = _Asked(_scores({"one": 0.3, "two": 1.0}, _by_turns("one", "two")))
    await refined(call_of(), asked.once, Refining(2, 0.8), asked.judge)
    again = next(call for call in asked.model.calls if call.purpose == "refine")
    assert [message.role for message in again.messages] == ["user", "assistant", "user"]
    assert again.messages[1].content == '{"mood":"one"}'
    assert "0.3 because" in again.messages[2].content


async def test_a_judge_that_fails_keeps_the_best_answer_so_far_and_the_first_of_all_back():
    def failing_later(call):
        if call.purpose in ("judge", "repair") and "two" in call.messages[0].content:
            return answer_of("hm")
        return _scores({"one": 0.3, "three": 0.9}, _by_turns("one", "two", "three"))(call)

    later = _Asked(failing_later)
    assert (await refined(call_of(), later.once, Refining(2, 0.8), later.judge)).output == {"mood": "one"}

    first = _Asked(lambda call: answer_of("hm" if call.purpose in ("judge", "repair") else '{"mood": "one"}'))
    reply = await refined(call_of(), first.once, Refining(2, 0.8), first.judge)
    assert (reply.output, reply.error.code) == (None, "not_judged")
