"""Tests calls that say how the model is asked: seed, reasoning, probabilities, and marks for the provider's cache."""

from __future__ import annotations

import math
from dataclasses import replace

import orjson
import pytest

from loom_ai.answer_notes import read_beside, written_beside
from loom_ai.answers.confidence import confidence_in
from loom_ai.batches.requests.encoding import read, written
from loom_ai.budget.answer_sizes import longest, shortest
from loom_ai.budget.prices import Prices, Tokens
from loom_ai.keys import key_of
from loom_ai.ports import ChatMessage
from loom_ai.recordings.cassette import Cassette, recorded
from loom_ai.wire import anthropic, google, openai
from loom_ai.wire.form import Form
from loom_common.domain.model_options.asking import Asking, options_of, refused_option
from loom_common.domain.model_options.pricing import ModelPrice
from loom_common.domain.question.attachment import Attachment
from support.scripted_model import answer_of, call_of

TALK = (
    ChatMessage("system", "Be brief."),
    ChatMessage("user", "An example"),
    ChatMessage("assistant", "good"),
    ChatMessage("user", "This record"),
)
SCHEMA = {"type": "object", "properties": {"mood": {"type": "string"}}}
KEPT = {"type": "ephemeral"}
PNG = Attachment("image", "image/png", "d", b"x", width=512, height=512)


def body_of(wire, form=Form.PLAIN, asking=None, **call):
    return orjson.loads(wire.request_body(call_of(asking=asking or Asking(), **{"messages": TALK, **call}), form))


def test_a_seed_has_the_name_that_the_protocol_gives_it():
    asking = Asking(seed=7)
    assert body_of(openai, asking=asking)["seed"] == 7
    assert body_of(openai, asking=asking, provider="mistral")["random_seed"] == 7
    assert body_of(google, asking=asking)["generationConfig"]["seed"] == 7


def test_samples_and_repeated_questions_have_seeds_of_their_own():
    seeds = {body_of(openai, asking=Asking(seed=7), sample=n, again=m)["seed"] for n, m in ((0, 0), (1, 0), (0, 2))}
    assert seeds == {7, 8, 9}


def test_reasoning_is_asked_for_as_each_protocol_says_it():
    assert body_of(openai, asking=Asking(effort="low"))["reasoning_effort"] == "low"
    assert body_of(anthropic, asking=Asking(effort="low"))["output_config"] == {"effort": "low"}
    assert body_of(google, asking=Asking(effort="low"))["generationConfig"]["thinkingConfig"] == {
        "thinkingLevel": "low"
    }
    budget = Asking(reasoning_tokens=2000)
    assert body_of(google, asking=budget)["generationConfig"]["thinkingConfig"] == {"thinkingBudget": 2000}


def test_anthropic_reasons_without_a_temperature_or_a_forced_tool_and_with_room_for_the_answer():
    call = call_of(messages=TALK, schema=SCHEMA, asking=Asking(reasoning_tokens=2000), provider="anthropic")
    assert anthropic.forms(call) == (Form.PLAIN,)
    body = orjson.loads(anthropic.request_body(call, Form.PLAIN))
    assert body["thinking"] == {"type": "enabled", "budget_tokens": 2000}
    assert "temperature" not in body
    assert "tool_choice" not in body
    assert body["max_tokens"] > 2000 + 1000


def test_a_budget_leaves_room_for_an_answer_behind_the_reasoning():
    call = call_of(asking=Asking(reasoning_tokens=8000))
    assert 8000 < shortest(call) < longest(call)
    assert shortest(replace(call, max_tokens=8010)) == 8010
    assert shortest(call_of()) == 0


@pytest.mark.parametrize(
    ("changes", "marked"),
    [
        ({"turns_alike": 3}, (True, [False, True, False])),
        ({"turns_alike": 1}, (True, [False, False, False])),
        ({"turns_alike": 0}, (False, [False, False, False])),
        ({"turns_alike": 2, "messages": TALK[1:]}, (None, [False, True, False])),
    ],
)
def test_what_is_the_same_for_every_record_is_marked_for_anthropics_cache(changes, marked):
    body = body_of(anthropic, asking=Asking(cache_prompt=True), **changes)
    system, turns = marked
    if system is None:
        assert "system" not in body
    else:
        assert body["system"] == (
            [{"type": "text", "text": "Be brief.", "cache_control": KEPT}] if system else "Be brief."
        )
    for turn, expected in zip(body["messages"], turns, strict=True):
        last = turn["content"][-1] if isinstance(turn["content"], list) else {}
        assert ("cache_control" in last) is expected


def test_without_a_system_prompt_the_shape_of_the_answer_is_marked():
    body = body_of(
        anthropic, Form.JSON_SCHEMA, Asking(cache_prompt=True), messages=TALK[3:], schema=SCHEMA, provider="anthropic"
    )
    assert body["tools"][-1]["cache_control"] == KEPT


def test_openai_is_given_a_key_for_what_is_the_same_and_other_endpoints_are_not():
    asking, usual = Asking(cache_prompt=True), "https://api.openai.com/v1"
    keys = [
        body_of(openai, asking=asking, turns_alike=3, base_url=usual, messages=(*TALK[:3], ChatMessage("user", text)))
        for text in ("one", "two")
    ]
    assert keys[0]["prompt_cache_key"] == keys[1]["prompt_cache_key"]
    assert "prompt_cache_key" not in body_of(openai, asking=asking, turns_alike=3)


def test_what_decides_the_answer_is_part_of_the_key_and_the_cache_of_prompts_is_not():
    plain = key_of(call_of())
    assert key_of(call_of(asking=Asking(cache_prompt=True), turns_alike=1)) == plain
    others = [Asking(seed=0), Asking(seed=1), Asking(effort="low"), Asking(reasoning_tokens=9), Asking(logprobs=True)]
    assert len({plain, *(key_of(call_of(asking=each)) for each in others)}) == 1 + len(others)


def test_a_request_of_a_batch_says_how_the_model_is_asked():
    call = call_of(asking=Asking(seed=3, effort="high", cache_prompt=True), turns_alike=1)
    assert read(orjson.loads(orjson.dumps(written(call)))) == call
    earlier = {name: value for name, value in written(call).items() if name not in ("asking", "turns_alike")}
    assert read(earlier) == replace(call, asking=Asking(), turns_alike=0)


def test_probabilities_are_read_from_what_openai_and_google_give():
    tokens = [('{"mood": ', -0.5), ('"gö', -0.25), ('od"', 0.0), ("}", 0.0)]
    text, call = "".join(token for token, _ in tokens), call_of(asking=Asking(logprobs=True))
    content = [{"token": token, "logprob": value, "bytes": list(token.encode())} for token, value in tokens]
    choice = {"message": {"content": text}, "finish_reason": "stop", "logprobs": {"content": content}}
    chosen = [{"token": token, "logProbability": value} for token, value in tokens]
    candidate = {
        "content": {"parts": [{"text": text}]},
        "finishReason": "STOP",
        "logprobsResult": {"chosenCandidates": chosen},
    }
    for answer in (
        openai.answer_of({"choices": [choice]}, call, 0.1),
        google.answer_of({"candidates": [candidate]}, call, 0.1),
    ):
        assert answer.logprobs == ((9, -0.5), (4, -0.25), (3, 0.0), (1, 0.0))
        assert confidence_in(answer, "mood") == pytest.approx(math.exp(-0.25))
        assert confidence_in(answer) == pytest.approx(math.exp(-0.75 / 4))
        assert confidence_in(answer, "other") is None


@pytest.mark.parametrize(
    "given",
    [
        None,
        {},
        {"content": "x"},
        {"content": [{"token": "go", "logprob": -1}]},
        {"content": [{"token": 1, "logprob": -1}]},
        {"content": [{"token": "good", "logprob": "no"}]},
        {"content": [{"token": "good", "logprob": -1, "bytes": [999]}]},
    ],
)
def test_probabilities_that_are_not_those_of_the_text_are_left_out(given):
    choice = {"message": {"content": "good"}, "finish_reason": "stop", "logprobs": given}
    answer = openai.answer_of({"choices": [choice]}, call_of(asking=Asking(logprobs=True)), 0.1)
    assert (answer.text, answer.logprobs) == ("good", None)
    assert confidence_in(answer) is None


def test_a_value_is_found_behind_words_and_among_other_values():
    text = 'Well {so}: {"a": {"mood": 1}, "mood" : ["x", 2], "b": "}"}'
    answer = answer_of(text, logprobs=tuple((1, -0.125 if text[at] in "[x2" else 0.0) for at in range(len(text))))
    assert confidence_in(answer, "mood") == pytest.approx(math.exp(-0.375))


def test_what_an_answer_holds_beside_its_text_survives_the_journal_and_recordings(tmp_path):
    answer = answer_of("good", tokens_written=5, tokens_audio=6, tokens_image=7, logprobs=((4, -0.5),))
    assert replace(answer_of("good"), **read_beside(orjson.loads(orjson.dumps(written_beside(answer))))) == answer
    assert written_beside(answer_of()) == {}
    cassette = Cassette(tmp_path / "one.json")
    cassette.keep(recorded(call_of(), answer, str))
    cassette.save(unused=True)
    [recording] = Cassette.load(cassette.path).recordings.values()
    assert recording.answer == answer


def test_anthropic_counts_what_it_puts_into_its_cache():
    usage = {"input_tokens": 10, "cache_read_input_tokens": 20, "cache_creation_input_tokens": 30, "output_tokens": 3}
    answer = anthropic.answer_of({"content": [{"type": "text", "text": "x"}], "usage": usage}, call_of(), 0.1)
    assert (answer.tokens_in, answer.tokens_cached, answer.tokens_written) == (60, 20, 30)


def test_recordings_and_images_are_counted_apart():
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 1,
        "prompt_tokens_details": {"audio_tokens": 60, "image_tokens": 30, "cached_tokens": 20},
    }
    answer = openai.answer_of({"choices": [{"message": {"content": "x"}}], "usage": usage}, call_of(), 0.1)
    # What is told adds up to more than the question has, so that the rest alone is of the last kind.
    assert (answer.tokens_cached, answer.tokens_audio, answer.tokens_image) == (20, 60, 20)
    details = [{"modality": "TEXT", "tokenCount": 10}, {"modality": "AUDIO", "tokenCount": 90}]
    cached = [{"modality": "AUDIO", "tokenCount": 50}]
    usage = {"promptTokenCount": 100, "candidatesTokenCount": 1, "promptTokensDetails": details,
             "cacheTokensDetails": cached, "cachedContentTokenCount": 50}  # fmt: skip
    candidate = {"content": {"parts": [{"text": "x"}]}, "finishReason": "STOP"}
    answer = google.answer_of({"candidates": [candidate], "usageMetadata": usage}, call_of(), 0.1)
    assert (answer.tokens_cached, answer.tokens_audio) == (50, 40)


def test_each_kind_of_token_has_its_listed_price():
    haiku = call_of(model="claude-haiku-4-5", provider="anthropic", base_url="https://api.anthropic.com/v1")
    usd = Prices().of(haiku, answer_of(tokens_cached=100, tokens_written=200, tokens_out=50, model="x")).usd
    assert usd == pytest.approx((700 * 1 + 100 * 0.1 + 200 * 1.25 + 50 * 5) / 1e6)
    flash = call_of(model="gemini-2.5-flash", provider="google", base_url="https://generativelanguage.googleapis.com")
    usd = Prices().of(flash, answer_of(tokens_audio=500, tokens_out=0, model="x")).usd
    assert usd == pytest.approx((500 * 0.3 + 500 * 1.0) / 1e6)


def test_the_pipelines_own_price_has_each_kind():
    own = {"mine": ModelPrice(input=1, output=2, cached=0.5, cache_write=3, audio=10, image=20)}
    tokens = Tokens(given=100, cached=10, answered=1, written=20, audio=30, image=5)
    usd = Prices().quote(call_of(model="mine"), tokens, own).usd
    assert usd == pytest.approx((35 * 1 + 10 * 0.5 + 20 * 3 + 30 * 10 + 5 * 20 + 2) / 1e6)
    assert ModelPrice(input=4, output=0).of(100, 0, 0, tokens_written=100) == pytest.approx(100 * 5 / 1e6)


def test_the_worst_case_counts_what_is_put_into_the_cache_and_the_dearest_kind():
    own = {"mine": ModelPrice(input=1, output=2, image=9)}
    prices, marked = Prices(), Asking(cache_prompt=True)
    plain = prices.worst(call_of(model="mine"), 1000, 0, own).usd
    assert plain == pytest.approx(1000 / 1e6)
    assert prices.worst(call_of(model="mine", asking=marked), 1000, 0, own).usd == plain  # nothing is put there
    assert prices.worst(call_of(model="mine", asking=marked, provider="anthropic"), 1000, 0, own).usd == pytest.approx(
        1250 / 1e6
    )
    shown = call_of(model="mine", messages=(ChatMessage("user", "What?", (PNG,)),))
    assert prices.worst(shown, 10_000, 0, own).usd > prices.quote(shown, Tokens(given=10_000), own).usd


def test_an_option_that_the_protocol_lacks_is_named_with_who_has_it():
    assert refused_option(Asking(seed=1), "gpt-4o", "openai") is None
    said = refused_option(Asking(seed=1), "claude-haiku-4-5", "anthropic")
    assert said == (
        "claude-haiku-4-5: Loom's protocol for anthropic has no `seed`. Leave it out, or ask a model of google or "
        "openai."
    )
    assert "reasoning.max_tokens" in (refused_option(Asking(reasoning_tokens=9), "gpt-4o", "openai") or "")
    assert "below 1,024" in (refused_option(Asking(reasoning_tokens=9), "claude", "anthropic") or "")
    assert options_of("cohere") == options_of("bedrock") == frozenset()


def test_a_model_that_stands_in_is_asked_with_what_its_protocol_has():
    asking = Asking(seed=1, effort="high", logprobs=True, cache_prompt=True)
    assert asking.of_another_model("anthropic") == Asking(cache_prompt=True)
    assert asking.of_another_model("groq") == replace(asking, effort=None)
