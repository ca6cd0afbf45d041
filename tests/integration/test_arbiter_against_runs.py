"""Tests with what Arbiter's pairwise evaluator compares a record where its baseline is another run."""

from __future__ import annotations

import json

import pytest

from loom_ai.journal.models import JournalledModels
from loom_ai.stores.memory.journal import MemoryJournal
from loom_common.contracts.v1 import TransformedRecord
from loom_common.domain.definition.evaluation import EvaluateConfig
from loom_common.errors import PermanentError
from loom_common.worker.context import Context
from loom_evaluator.runner import EvaluatorRunner
from support.scripted_model import ScriptedModel, answer_of

WORSE = {"winner": "output_b", "confidence": 0.8, "reasoning": "Says the same.", "aspect_comparisons": []}


@pytest.fixture
def client():
    return ScriptedModel(lambda _: answer_of(json.dumps(WORSE)))


@pytest.fixture
def models(client):
    return JournalledModels(client, MemoryJournal())


def against(baseline, models, folder, **more):
    """Return what judges records by comparing them with those of a run."""
    evaluator = {"type": "pairwise", "threshold": 0.3, "baseline": baseline}
    section = EvaluateConfig.model_validate({"model": "gpt-4o-mini", "evaluators": [evaluator]})
    return EvaluatorRunner(section, folder, models=models, **more)


def record(number, answer):
    return TransformedRecord(id=number, input={}, output={"answer": answer})


async def test_pairwise_compares_with_what_the_run_before_made_of_the_record(client, models, tmp_path):
    runner = against("previous_run", models, tmp_path)
    [first] = await runner.judge("run_1", [record("1", "Paris.")], Context())
    [again] = await runner.judge("run_1", [record("1", "Paris.")], Context())
    assert [each.evaluations[0].score for each in (first, again)] == [0.5, 0.5]
    assert not client.calls
    for run in ("run_2", "run_2"):
        [second] = await runner.judge(run, [record("1", "Lyon.")], Context())
        assert second.outcome.reason == "pairwise evaluator below threshold (0.18 < 0.3)"
    [question] = {call.messages[1].content for call in client.calls}
    assert "OUTPUT A:\nLyon." in question
    assert "OUTPUT B (REFERENCE):\nParis." in question
    await runner.judge("run_3", [record("1", "Nice.")], Context())
    assert "OUTPUT B (REFERENCE):\nLyon." in client.calls[-1].messages[1].content


async def test_pairwise_compares_with_what_a_run_that_is_named_made_of_the_record(client, models, tmp_path):
    def runner(baseline):
        return against(baseline, models, tmp_path, pipeline=f"against {baseline}")

    first, second, third = (f"run_{number:012x}" for number in range(3))
    await runner("previous_run").judge(first, [record("1", "Paris.")], Context())
    await runner("previous_run").judge(second, [record("1", "Lyon.")], Context())
    for _ in range(2):
        [judged, new] = await runner(first).judge(third, [record("1", "Nice."), record("2", "Nice.")], Context())
        assert (judged.evaluations[0].score, new.evaluations[0].score) == (pytest.approx(0.18), 0.5)
    assert "OUTPUT A:\nNice.\n\nOUTPUT B (REFERENCE):\nParis." in client.calls[-1].messages[1].content
    assert len(client.calls) == 2

    with pytest.raises(PermanentError, match="run_00000000000f has kept no outputs to compare with"):
        await runner("run_00000000000f").judge(third, [record("1", "Nice.")], Context())
