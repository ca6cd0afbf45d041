"""Tests that a cheap tier answers where it is sure, and that the dear model is asked elsewhere."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from loom_ai.journal.models import JournalledModels
from loom_ai.stores.memory.journal import MemoryJournal
from loom_common.domain.checks import cascade_file
from loom_common.domain.definition.reader import parse
from loom_common.domain.definition.transforms.ai import AiTransformConfig
from loom_common.errors import InvalidDefinition, PermanentError
from loom_common.worker.context import Context
from loom_transformer.transforms.catalog import Catalog
from support.plans import batch_of, plan_of
from support.scripted_model import ScriptedModel, answer_of

OUTPUT = {"mood": {"enum": ["good", "bad"]}, "confidence": {"type": "number", "minimum": 0, "maximum": 1}}
AI = {"type": "ai", "prompt": "{{ input.review }}", "model": "big", "base_url": "http://h/v1/", "output": OUTPUT}
SAID = {"sure": 0.9, "hm": 0.1, "odd": '"very"', "wild": 7}


def answered(call):
    """Answer as the model `small` that it is good, else that it is bad."""
    mood = "good" if call.model == "small" else "bad"
    word = call.messages[0].content
    return answer_of(f'{{"mood": "{mood}", "confidence": {SAID[word] if call.model == "small" else 0.5}}}')


@pytest.fixture
def asked(tmp_path):
    async def ask(cascade, *reviews, journal=None, code="", **changes):
        (tmp_path / "mine.py").write_text(code, encoding="utf-8")
        plan = plan_of({**AI, "cascade": cascade, **changes})
        model = ScriptedModel(answered)
        transform = Catalog(JournalledModels(model, journal or MemoryJournal()), tmp_path).transform_of(plan)
        context = Context()
        outcomes = await transform.apply(
            "run_1", batch_of(plan, [{"review": each} for each in reviews]).records, context
        )
        return model, outcomes, context

    return ask


async def test_the_dear_model_is_asked_where_the_cheap_one_is_unsure(asked):
    model, outcomes, context = await asked({"cheap": "small", "threshold": 0.8}, "sure", "hm")
    assert [(each.output["mood"], each.tier, each.answered_by) for each in outcomes] == [
        ("good", "cheap", "small"),
        ("bad", "dear", "big"),
    ]
    assert {(each.model, each.purpose) for each in model.calls} == {("small", "cheap"), ("big", "transform")}
    assert {(each.purpose, each.model): each.made for each in context.usage.lines()} == {
        ("cheap", "small"): 2,
        ("transform", "big"): 1,
    }


async def test_a_confidence_of_no_use_counts_as_unsure(asked):
    _, outcomes, _ = await asked({"cheap": "small", "threshold": 0.0}, "odd", "wild", "sure")
    assert [each.tier for each in outcomes] == ["dear", "dear", "cheap"]


async def test_a_batch_that_comes_again_decides_the_same_and_pays_nothing(asked):
    journal = MemoryJournal()
    _, first, _ = await asked({"cheap": "small", "threshold": 0.8}, "sure", "hm", journal=journal)
    model, second, _ = await asked({"cheap": "small", "threshold": 0.8}, "sure", "hm", journal=journal)
    assert model.calls == []
    assert [each.output for each in second] == [each.output for each in first]


async def test_a_scorer_states_its_confidence_and_keeps_the_declared_fields(asked):
    code = "def say(text):\n    return {'mood': 'good', 'confidence': 0.5, 'sure': 1.0 if text == 'sure' else 0.1}\n"
    cascade = {"cheap": {"scorer": "mine:say", "field": "review"}, "confidence": "sure", "threshold": 0.8}
    model, outcomes, _ = await asked(cascade, "sure", "hm", code=code)
    assert [each.output["mood"] for each in outcomes] == ["good", "bad"]
    assert outcomes[0].output == {"mood": "good", "confidence": 0.5}
    assert [each.model for each in model.calls] == ["big"]


async def test_an_answer_of_a_scorer_that_does_not_fit_is_not_kept(asked):
    code = "def say(text):\n    return {'mood': 'fine', 'confidence': 1.0}\n"
    _, (outcome,), _ = await asked(
        {"cheap": {"scorer": "mine:say", "field": "review"}, "threshold": 0.1}, "sure", code=code
    )
    assert (outcome.tier, outcome.output["mood"]) == ("dear", "bad")


async def test_a_function_may_say_how_sure_the_answer_is(asked):
    code = "def sure(output, record):\n    return {'sure': 1.0, 'hm': 0.2}[record['review']]\n"
    cascade = {"cheap": "small", "confidence": {"function": "mine:sure"}, "threshold": 0.8}
    _, outcomes, _ = await asked(cascade, "sure", "hm", "odd", code=code)
    assert [each.tier for each in outcomes] == ["cheap", "dear", "dear"]  # it raises at the last


async def test_a_record_that_is_tried_again_asks_the_dear_model_anew_alone(tmp_path):
    plan = plan_of({**AI, "cascade": {"cheap": "small", "threshold": 0.8}})
    model = ScriptedModel(answered)
    transform = Catalog(JournalledModels(model, MemoryJournal()), tmp_path).transform_of(plan)
    records = batch_of(plan, [{"review": "hm"}]).records
    for again in range(2):
        await transform.apply("run_1", records, Context(), again)
    assert [each.model for each in model.calls] == ["small", "big", "big"]


def test_a_file_is_of_the_settings_that_it_was_made_for():
    plan = plan_of({**AI, "cascade": {"cheap": "small", "file": "c.json"}})
    document = {
        "kind": "loom cascade 1",
        "of": "transform",
        "settings": cascade_file.settings_hash(plan.pipeline, {}, "transform"),
        "thresholds": {"high": 0.7, "low": 0},
        "promise": {"words": "Good"},
        "sample": {"share_asked": 0.3},
    }
    text = json.dumps(document)
    good = plan.model_copy(update={"files": {"c.json": text}})
    assert cascade_file.band_of(good, "transform").high == 0.7
    assert list(cascade_file.mistakes(good.pipeline, good.files)) == []
    other = plan_of({**AI, "model": "other", "cascade": {"cheap": "small", "file": "c.json"}}, {"c.json": text})
    with pytest.raises(PermanentError, match="chosen for other settings"):
        cascade_file.band_of(other, "transform")
    with pytest.raises(PermanentError, match="lacks the cascade file"):
        cascade_file.band_of(plan, "transform")
    assert [each.path for each in cascade_file.mistakes(plan.pipeline, {})] == [("transform", "cascade", "file")]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cascade": {"cheap": {"scorer": "vader"}, "threshold": 0.5}}, "`field`, which a scorer looks at"),
        ({"cascade": {"cheap": {}, "threshold": 0.5}}, "one of `model`, `scorer` and `function`"),
        ({"cascade": {"cheap": "small", "threshold": 0.5, "file": "c.json"}}, "no `threshold` beside `file`"),
        ({"cascade": {"cheap": "small", "threshold": 0.5, "confidence": "how"}}, "a field that `output` declares"),
        ({"cascade": {"cheap": "small", "threshold": 0.5}, "output": "text"}, "the fields that both tiers"),
        ({"cascade": {"cheap": "small", "threshold": 0.5}, "calibration": "c.json"}, "no `calibration` beside"),
        (
            {"cascade": {"cheap": {"function": "a:b"}, "threshold": 0.5, "confidence": {"samples": 3}}},
            "no `samples` without a cheap model",
        ),
    ],
)
def test_what_does_not_fit_together_is_a_mistake(changes, words):
    definition = {
        "name": "p",
        "extract": {"source": "x.csv"},
        "transform": {**AI, **changes},
        "load": {"destination": "y.csv"},
    }
    with pytest.raises(InvalidDefinition, match=words):
        parse(definition)


def test_a_cheap_model_and_batches_do_not_go_together():
    section = {"type": "ai", "model": "m", "prompt": "p", "output": {"confidence": "number"}, "execution": "batch"}
    with pytest.raises(ValidationError, match="each tier would wait for a batch of its own"):
        AiTransformConfig.model_validate({**section, "cascade": {"cheap": "small", "threshold": 0.5}})
    AiTransformConfig.model_validate(
        {**section, "cascade": {"cheap": {"scorer": "vader", "field": "x"}, "threshold": 0.5}}
    )
