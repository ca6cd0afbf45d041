"""Tests Arbiter's evaluators, the real ones, with their model served by Loom."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from loom_ai.journal.models import JournalledModels
from loom_ai.stores.memory.journal import MemoryJournal
from loom_common.contracts.v1 import TransformedRecord
from loom_common.domain.definition.evaluation import EvaluateConfig
from loom_common.domain.model_options.providers import ProviderConfig
from loom_common.domain.run.attempts import Attempt
from loom_common.domain.run.gates import Verdict
from loom_common.errors import AccessRefused, BreakerOpen, DependencyUnavailable, Timeout
from loom_common.worker.context import Context
from loom_evaluator.runner import EvaluatorRunner
from support.scripted_model import ScriptedModel, answer_of

VERDICT = {"score": 0.9, "confidence": 0.8, "explanation": "Says the same."}
ANSWERS = {
    "semantic": {**VERDICT, "key_differences": ["a date"], "key_similarities": []},
    "custom_criteria": {**VERDICT, "criteria_met": ["kind"], "criteria_not_met": []},
    "factuality": {**VERDICT, "factual_claims": ["one"], "non_factual_claims": [], "uncertain_claims": []},
    "groundedness": {**VERDICT, "grounded_statements": ["one"], "ungrounded_statements": [], "citations": {"a": "b"}},
    "relevance": {**VERDICT, "addressed_points": ["one"], "missing_points": [], "irrelevant_content": []},
    "pairwise": {"winner": "output_a", "confidence": 0.8, "reasoning": "Says the same.", "aspect_comparisons": []},
}
SETTINGS = {
    "semantic": {"reference_field": "expected"},
    "custom_criteria": {"criteria": ["Is kind", "Is short"]},
    "factuality": {"source_field": "source"},
    "groundedness": {"source_field": "source"},
    "relevance": {"query_field": "question"},
    "pairwise": {"baseline_field": "before"},
}
INPUT = {"expected": "Paris", "source": "Paris is in France.", "question": "Which city?", "before": "Lyon"}
SCORES = dict.fromkeys(ANSWERS, 0.9) | {"pairwise": 0.9 * 0.8 + 0.5 * 0.2}


def record(number="1", answer="It is Paris.", **given):
    return TransformedRecord(id=number, input={**INPUT, **given}, output={"answer": answer})


def settings_of(kind, **changes):
    return {"type": kind, "threshold": 0.7, **SETTINGS[kind], **changes}


def panel_of(client, folder, *evaluators, providers=None, **section):
    section = {"model": "gpt-4o-mini", "evaluators": list(evaluators), **section}
    models = JournalledModels(client, MemoryJournal())
    return EvaluatorRunner(EvaluateConfig.model_validate(section), folder, models=models, providers=providers)


def saying(kind, **changes):
    return answer_of(json.dumps({**ANSWERS[kind], **changes}))


@pytest.mark.parametrize("kind", ANSWERS)
async def test_arbiters_own_evaluator_scores_with_explanation_confidence_and_interaction(kind, tmp_path):
    client = ScriptedModel(saying(kind))
    [result] = await panel_of(client, tmp_path, settings_of(kind)).judge("run_1", [record()], Context())
    [told] = result.evaluations
    assert result.outcome == Verdict(passed=True)
    assert told.name == kind
    assert told.score == pytest.approx(SCORES[kind])
    assert told.passed is True
    assert told.confidence == 0.8
    assert told.explanation.startswith("Says the same.")
    [asked] = told.interactions
    assert asked.model == "gpt-4o-mini"
    assert asked.answer == ANSWERS[kind]
    assert asked.calls == 1
    assert asked.tokens_in == 1000
    assert asked.tokens_out == 100
    assert asked.cost == pytest.approx(0.00021)
    assert "It is Paris." in asked.prompt


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("semantic", "REFERENCE (ground truth):\nParis"),
        ("custom_criteria", "EVALUATION CRITERIA:\n- Is kind\n- Is short"),
        ("factuality", "REFERENCE (source of truth):\nParis is in France."),
        ("groundedness", "SOURCE DOCUMENTS (ground truth):\nParis is in France."),
        ("relevance", "QUERY (what should be addressed):\nWhich city?"),
        ("pairwise", "OUTPUT B (REFERENCE):\nLyon"),
    ],
)
async def test_each_asks_with_the_fields_it_is_given(kind, words, tmp_path):
    client = ScriptedModel(saying(kind))
    await panel_of(client, tmp_path, settings_of(kind)).judge("", [record()], Context())
    [call] = client.calls
    assert [message.role for message in call.messages] == ["system", "user"]
    assert words in call.messages[1].content
    assert (call.purpose, call.temperature) == ("evaluate", 0.0)


@pytest.mark.parametrize(
    ("kind", "seconds"), [("semantic", 15), ("custom_criteria", 30), ("factuality", 45), ("pairwise", 30)]
)
async def test_each_waits_as_long_as_its_kind_takes(kind, seconds, tmp_path):
    client = ScriptedModel(saying(kind))
    await panel_of(client, tmp_path, settings_of(kind)).judge("", [record()], Context())
    assert client.calls[0].timeout == seconds


async def test_a_slow_provider_is_given_the_time_it_says_unless_the_evaluator_says_its_own(tmp_path):
    client = ScriptedModel(lambda _: saying("semantic"))
    slow = {"slow": ProviderConfig(base_url="http://127.0.0.1:9/v1", timeout="4m")}
    both = settings_of("semantic", max_tokens=300), settings_of("semantic", name="own", timeout="20s")
    await panel_of(client, tmp_path, *both, model="slow:m", providers=slow).judge("", [record()], Context())
    assert {(call.timeout, call.max_tokens) for call in client.calls} == {(240.0, 300), (20.0, None)}


async def test_the_answer_is_held_to_the_type_arbiter_asks_for(tmp_path):
    client = ScriptedModel(saying("pairwise"))
    await panel_of(client, tmp_path, settings_of("pairwise")).judge("", [record()], Context())
    schema = client.calls[0].schema
    assert schema["required"] == ["winner", "confidence", "reasoning", "aspect_comparisons"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["winner"]["enum"] == ["output_a", "output_b", "tie"]
    assert schema["properties"]["aspect_comparisons"]["items"]["additionalProperties"] is False


@pytest.mark.parametrize(
    ("broken", "misfit"),
    [
        ({"score": 1.2}, "score: 1.2 is greater than the maximum of 1"),
        ({"key_differences": [], "confidence": 0.95}, "High confidence scores"),
    ],
)
async def test_an_answer_that_does_not_fit_is_repaired_once(broken, misfit, tmp_path):
    client = ScriptedModel(saying("semantic", **broken), saying("semantic"))
    [result] = await panel_of(client, tmp_path, settings_of("semantic")).judge("", [record()], Context())
    assert misfit in client.calls[1].messages[-1].content
    assert result.outcome == Verdict(passed=True)
    assert result.evaluations[0].interactions[0].calls == 2


async def test_an_evaluator_that_gets_no_usable_answer_never_counts_as_passed(tmp_path):
    client = ScriptedModel(answer_of("I would rather not."))
    [result] = await panel_of(client, tmp_path, settings_of("semantic"), quality_gate="any_pass").judge(
        "", [record()], Context()
    )
    assert (result.outcome.code, str(result.outcome)[:41]) == (
        "invalid_output",
        "Evaluator semantic: The answer is no JSON",
    )
    [told] = result.evaluations
    assert (told.score, told.passed, told.interactions[0].answer) == (None, None, None)


async def test_a_field_that_is_empty_costs_nothing(tmp_path):
    client = ScriptedModel(saying("semantic"))
    [result] = await panel_of(client, tmp_path, settings_of("semantic")).judge("", [record(expected="  ")], Context())
    assert str(result.outcome) == ("Evaluator semantic: the input field 'expected' is empty; expected text to judge by")
    assert not client.calls


@pytest.mark.parametrize("trouble", [DependencyUnavailable("away"), Timeout("late"), AccessRefused("no")])
async def test_a_model_that_is_away_is_no_fault_of_the_record(trouble, tmp_path):
    runner = panel_of(ScriptedModel(trouble), tmp_path, settings_of("semantic"), settings_of("factuality"))
    with pytest.raises(type(trouble)):
        await runner.judge("", [record("1"), record("2", "Lyon.")], Context())


@pytest.mark.parametrize(
    ("trouble", "code"), [(DependencyUnavailable("away"), "unavailable"), (Timeout("late"), "timeout")]
)
async def test_after_the_last_attempt_the_record_alone_is_kept_back(trouble, code, tmp_path):
    client = ScriptedModel(saying("semantic"), trouble)
    runner, records = panel_of(client, tmp_path, settings_of("semantic")), [record("1"), record("2", "Lyon.")]
    good, bad = await runner.judge("", records, Context(Attempt(number=5, last=True)))
    assert (good.outcome, bad.outcome.code) == (Verdict(passed=True), code)


async def test_an_open_breaker_is_waited_for_even_on_the_last_attempt(tmp_path):
    away = BreakerOpen("model m", probe_in=1, opened_for=1, opening=1)
    runner = panel_of(ScriptedModel(away), tmp_path, settings_of("semantic"))
    with pytest.raises(BreakerOpen):
        await runner.judge("", [record()], Context(Attempt(number=5, last=True)))


async def test_each_has_its_own_model_where_it_names_one(tmp_path):
    client = ScriptedModel(lambda call: saying("semantic"))
    both = settings_of("semantic"), settings_of("semantic", name="strict", model="gpt-4o", base_url="http://h/v1")
    await panel_of(client, tmp_path, *both, api_key="${KEY}").judge("", [record()], Context())
    asked = {(call.model, call.base_url, call.api_key) for call in client.calls}
    assert ("gpt-4o", "http://h/v1", None) in asked
    assert {(model, key) for model, _, key in asked} == {("gpt-4o-mini", "${KEY}"), ("gpt-4o", None)}


async def test_two_evaluators_that_ask_the_same_are_given_one_paid_answer(tmp_path):
    client = ScriptedModel(saying("semantic"))
    twice = settings_of("semantic", name="low", threshold=0.5), settings_of("semantic", name="high", threshold=0.95)
    context = Context()
    [result] = await panel_of(client, tmp_path, *twice).judge("run_1", [record()], context)
    assert result.outcome.reason == "high evaluator below threshold (0.90 < 0.95)"
    assert len(client.calls) == 1
    assert [(each.purpose, each.made) for each in context.usage.lines()] == [("evaluate", 1)]


async def test_tried_again_only_what_failed_is_asked_anew(tmp_path):
    client = ScriptedModel(
        lambda call: answer_of("no") if not call.again and "fact" in call.messages[1].content else _fitting(call)
    )
    runner = panel_of(client, tmp_path, settings_of("semantic"), settings_of("factuality"))
    [first] = await runner.judge("run_1", [record()], Context(), again=0)
    paid = len(client.calls)
    [second] = await runner.judge("run_1", [record()], Context(), again=1)
    assert (first.outcome.code, second.outcome) == ("invalid_output", Verdict(passed=True))
    assert [call.again for call in client.calls[paid:]] == [1000]  # the first try of the second attempt


def _fitting(call):
    return saying("semantic" if "key_differences" in call.schema["properties"] else "factuality")


IMPORTING = """
import os, socket, sys

reached = []
socket.getaddrinfo = lambda *address, **_: reached.append(address)
socket.socket.connect = lambda self, address: reached.append(address)
import loom_evaluator.handling, loom_evaluator.service
from loom_evaluator.evaluators.arbiter_package import arbiter

assert not {"arbiter_ai", "litellm", "pydantic_ai", "wordllama"} & set(sys.modules), "imported where it is not used"
before = dict(os.environ)
assert arbiter().SemanticEvaluator
assert dict(os.environ) == before, "the environment changed"
assert not reached, reached

import asyncio
from pathlib import Path
import test_arbiter as here

for kind in here.ANSWERS:
    panel = here.panel_of(here.ScriptedModel(here.saying(kind)), Path(), here.settings_of(kind))
    [result] = asyncio.run(panel.judge("run_1", [here.record()], here.Context()))
    assert result.evaluations[0].score is not None
assert "litellm" not in sys.modules, "the price list is read, which Loom does not use"
"""


def test_it_is_imported_where_it_is_used_and_reaches_for_nothing_and_without_its_prices(tmp_path):
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "LOGFIRE_TOKEN": "pylf_v1_us_none",
        "PYTHONPATH": os.pathsep.join(map(str, (Path(__file__).parent, Path(__file__).parents[1]))),
    }
    ended = subprocess.run([sys.executable, "-c", IMPORTING], env=environ, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


async def test_interactions_are_left_out_on_request(tmp_path):
    runner = panel_of(ScriptedModel(saying("semantic")), tmp_path, settings_of("semantic"), keep_interactions=False)
    [result] = await runner.judge("", [record()], Context())
    assert result.evaluations[0].interactions == ()
