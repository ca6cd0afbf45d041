"""Tests that the cheap tier of an evaluator decides where its score does, and that the judge is asked elsewhere."""

from __future__ import annotations

import pytest

from loom_ai.journal.models import JournalledModels
from loom_ai.stores.memory.journal import MemoryJournal
from loom_common.contracts.v1 import TransformedRecord
from loom_common.domain.definition.reader import parse
from loom_common.errors import InvalidDefinition, RecordError
from loom_common.statistics.cascades import Band
from loom_common.worker.context import Context
from loom_evaluator import runner as runners
from loom_evaluator.cascade import Verdicts, counted
from loom_evaluator.evaluators.opinion import Opinion
from loom_evaluator.runner import EvaluatorRunner
from support.scripted_model import ScriptedModel

LENGTH = {"type": "length", "field": "text", "max": 3}
JUDGE = {"type": "relevance", "query_field": "question", "model": "gpt-4o", "threshold": 0.7}


def section(**cascade):
    definition = {
        "name": "p",
        "extract": {"source": "x.csv"},
        "transform": {"type": "passthrough"},
        "evaluate": {"evaluators": [{**JUDGE, "cascade": cascade}]},
        "load": {"destination": "y.csv"},
    }
    return parse(definition).evaluate


@pytest.fixture
def judging(monkeypatch, tmp_path):
    """Provide what judges texts by a cascade, and lists the models that were asked about each."""

    async def judged(cascade, *texts, scores=None):
        asked = []

        def rule_of(settings, *_):
            async def rule(record, _):
                asked.append((settings.model, record.result["text"]))
                said = (scores or {}).get(settings.model, 0.9)
                if isinstance(said, Exception):
                    raise said
                return Opinion(said)

            return rule

        monkeypatch.setattr(runners, "model_rule_of", rule_of)
        models = JournalledModels(ScriptedModel(), MemoryJournal())
        config = section(**cascade)
        runner = EvaluatorRunner(config, tmp_path, models=models)
        records = [TransformedRecord(f"r{at}", {"question": "?"}, {"text": text}) for at, text in enumerate(texts)]
        results = await runner.judge("run_1", records, Context(), 0)
        return asked, results, counted(runner.cascaded, results)

    return judged


async def test_a_local_evaluator_decides_and_the_judge_is_asked_about_the_rest(judging):
    asked, results, counts = await judging({"cheap": LENGTH, "pass_from": 1.0}, "ab", "abcdef", "abc")
    assert asked == [("gpt-4o", "abcdef")]
    assert [each.scores[0].value for each in results] == [1.0, 0.9, 1.0]
    assert "length scores 1, and from 1 up it passes unasked" in results[0].evaluations[0].explanation
    assert [(each.name, each.seen, each.missed) for each in counts] == [("relevance", 3, 1)]
    said = [(each.evaluations[0].tier, each.evaluations[0].answered_by) for each in results]
    assert said == [("cheap", "length"), ("dear", "gpt-4o"), ("cheap", "length")]


async def test_a_cheaper_model_is_asked_the_same_question_first(judging):
    cascade = {"cheap": "gpt-4o-mini", "pass_from": 0.8, "fail_below": 0.2}
    asked, (result,), _ = await judging(cascade, "a", scores={"gpt-4o-mini": 0.1})
    assert asked == [("gpt-4o-mini", "a")]
    assert (result.scores[0].value, result.scores[0].passed) == (0.1, False)
    asked, (result,), _ = await judging(cascade, "a", scores={"gpt-4o-mini": 0.5})
    assert [model for model, _ in asked] == ["gpt-4o-mini", "gpt-4o"]
    assert result.scores[0].value == 0.9


async def test_a_cheap_tier_that_fails_decides_nothing(judging):
    cascade = {"cheap": "gpt-4o-mini", "pass_from": 0.8}
    asked, (result,), (count,) = await judging(cascade, "a", scores={"gpt-4o-mini": RecordError("no", code="odd")})
    assert [model for model, _ in asked] == ["gpt-4o-mini", "gpt-4o"]
    assert (result.scores[0].value, count.missed) == (0.9, 1)


@pytest.mark.parametrize(
    ("score", "band", "value"),
    [
        (0.5, Band(0.4), 0.7),  # moved to the side of the threshold that it decides for
        (0.9, Band(0.4), 0.9),
        (0.8, Band(0.95, 0.85), 0.7),
        (0.1, Band(0.95, 0.85), 0.1),
        (0.9, Band(0.95, 0.85), None),
    ],
)
def test_a_score_that_decides_is_on_its_side_of_the_threshold(score, band, value):
    (judge,) = section(cheap=LENGTH).evaluators
    opinion = Verdicts(judge, band).of(Opinion(score))
    if value is None:
        assert opinion is None
    else:
        assert opinion.value == pytest.approx(value)
        assert (opinion.value >= 0.7) is (score >= band.high)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"threshold": None}, "its `cascade` decides who passes"),
        ({"calibration": "c.json"}, "no `calibration` beside `cascade`"),
        ({"cascade": {"cheap": {**LENGTH, "weight": 2}}}, "no `weight` in the cheap tier"),
        ({"cascade": {"cheap": "gpt-4o"}}, "a cheap tier with another `model`"),
        ({"cascade": {"cheap": LENGTH, "file": "c.json", "pass_from": 1}}, "no `pass_from` beside `file`"),
        ({"cascade": {"cheap": LENGTH, "pass_from": 0.2, "fail_below": 0.4}}, "0.2 or less"),
        ({"cascade": {"cheap": {"type": "lenght"}}}, "length"),
    ],
)
def test_what_does_not_fit_together_is_a_mistake(changes, words):
    evaluator = {**JUDGE, "cascade": {"cheap": LENGTH, "pass_from": 1.0}, **changes}
    definition = {
        "name": "p",
        "extract": {"source": "x.csv"},
        "transform": {"type": "passthrough"},
        "evaluate": {"evaluators": [{key: value for key, value in evaluator.items() if value is not None}]},
        "load": {"destination": "y.csv"},
    }
    with pytest.raises(InvalidDefinition, match=words):
        parse(definition)
