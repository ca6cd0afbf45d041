"""Tests transforms that say how their model is asked: seed, reasoning, probabilities of tokens, and what is kept for
the provider's cache."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from pydantic import ValidationError

from loom_ai.journal.models import JournalledModels
from loom_ai.stores.memory.journal import MemoryJournal
from loom_common.domain.checks.field_names import output_fields
from loom_common.errors import PermanentError
from loom_common.worker.context import Context
from loom_transformer.transforms.catalog import Catalog
from support.plans import batch_of, plan_of
from support.scripted_model import ScriptedModel, answer_of

AI = {
    "type": "ai",
    "prompt": "{{ input.review }}",
    "model": "openai:gpt-4o-mini",
    "base_url": "http://h/v1",
    "output": {"mood": {"enum": ["good", "bad"]}},
}
GOOD = answer_of('{"mood": "good"}', logprobs=((9, -0.1), (6, -0.5), (1, 0.0)))


async def _outcome(config, *script):
    plan, model = plan_of({**AI, **config}), ScriptedModel(*script)
    transform = Catalog(JournalledModels(model, MemoryJournal()), Path()).transform_of(plan)
    (outcome,) = await transform.apply("run_1", batch_of(plan, [{"review": "x"}]).records, Context())
    return model, outcome


@pytest.mark.parametrize(
    ("logprobs", "added"),
    [
        (True, {"confidence": math.exp(-0.6 / 3)}),
        ("mood", {"confidence": math.exp(-0.5)}),
        ({"of": "mood", "into": "probability"}, {"probability": math.exp(-0.5)}),
        (False, {}),
    ],
)
async def test_the_output_says_how_probable_it_was(logprobs, added):
    model, outcome = await _outcome({"logprobs": logprobs}, GOOD)
    assert outcome.output == {"mood": "good", **{name: pytest.approx(value) for name, value in added.items()}}
    assert model.calls[0].asking.logprobs is bool(added)
    fields = output_fields({"transform": {**AI, "logprobs": logprobs}}, None)
    assert fields is not None
    assert set(fields.names) == {"mood", *added}


async def test_an_endpoint_without_probabilities_leaves_the_field_empty():
    _, outcome = await _outcome({"logprobs": True}, answer_of('{"mood": "good"}'))
    assert outcome.output == {"mood": "good", "confidence": None}


@pytest.mark.parametrize(("least", "asked"), [(0.7, ["cheap", "dear"]), (0.5, ["cheap"])])
async def test_a_cascade_is_sure_where_the_cheap_answer_was_probable(least, asked):
    cascade = {"cheap": "openai:cheap", "confidence": {"logprobs": "mood"}, "threshold": least}
    model, outcome = await _outcome({"model": "openai:dear", "cascade": cascade, "reasoning": "high"}, GOOD)
    assert outcome.output == {"mood": "good"}
    assert [call.model for call in model.calls] == asked
    assert [call.asking.logprobs for call in model.calls] == [True, False][: len(asked)]
    assert [call.asking.effort for call in model.calls] == [None, "high"][: len(asked)]


async def test_the_dear_model_needs_no_probabilities():
    cascade = {"cheap": "openai:cheap", "confidence": {"logprobs": True}, "threshold": 0.1}
    _, outcome = await _outcome({"model": "anthropic:claude", "cascade": cascade, "base_url": None}, GOOD)
    assert outcome.output == {"mood": "good"}


@pytest.mark.parametrize(
    ("config", "alike"),
    [
        ({}, 0),
        ({"system": "Be brief."}, 1),
        ({"system": "Be {{ input.review }}."}, 0),
        (
            {
                "system": "Be brief.",
                "messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
            },
            3,
        ),
        ({"system": "Be brief.", "messages": [{"role": "user", "content": "{{ input.review }}"}]}, 1),
        ({"examples": "solved.csv"}, 2),
        ({"examples": "solved.csv", "messages": [{"role": "user", "content": "a"}]}, 3),
        ({"system": "Be brief.", "examples": {"file": "solved.csv", "choose": "by_field", "by": "review"}}, 1),
    ],
)
async def test_the_turns_that_are_the_same_for_every_record_are_known(config, alike):
    plan = plan_of({**AI, **config, "cache_prompt": True}, {"solved.csv": "review,mood\nx,good\n"})
    model = ScriptedModel(GOOD)
    transform = Catalog(JournalledModels(model, MemoryJournal()), Path()).transform_of(plan)
    await transform.apply("run_1", batch_of(plan, [{"review": "x"}]).records, Context())
    assert model.calls[0].turns_alike == alike


@pytest.mark.parametrize(
    "config",
    [
        {"model": "anthropic:claude", "seed": 1},
        {"model": "anthropic:claude", "logprobs": True},
        {"model": "openai:gpt", "reasoning": 2000},
        {"model": "cohere:command", "seed": 1},
        {"cascade": {"cheap": "anthropic:claude", "confidence": {"logprobs": True}, "threshold": 0.5}},
    ],
)
async def test_an_option_that_the_protocol_lacks_ends_the_run_before_a_call(config):
    model = ScriptedModel(GOOD)
    with pytest.raises(PermanentError, match="has no"):
        Catalog(JournalledModels(model, MemoryJournal()), Path()).transform_of(plan_of({**AI, **config}))
    assert model.calls == []


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"logprobs": "none"}, "a field that `output` declares (mood)"),
        ({"logprobs": {"into": "mood"}}, "another name than `mood`"),
        ({"logprobs": True, "records_per_call": 2}, "no `logprobs` beside `records_per_call`"),
        ({"logprobs": True, "cascade": {"cheap": "m", "threshold": 0.5}}, "no `logprobs` beside `cascade`"),
        ({"reasoning": {"effort": "low", "max_tokens": 5}}, "one of `effort` and `max_tokens`"),
        ({"reasoning": {}}, "one of `effort` and `max_tokens`"),
        ({"reasoning": 2000, "max_tokens": 2000}, "more than 2000"),
    ],
)
def test_what_does_not_fit_together_is_refused(config, expected):
    with pytest.raises(ValidationError, match="validation error") as refused:
        plan_of({**AI, **config})
    assert expected in str(refused.value.errors())
