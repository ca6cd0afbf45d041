"""Tests evaluators that do not come back, and gates that do not."""

from __future__ import annotations

import pytest

from loom_common.contracts.v1 import TransformedRecord
from loom_common.domain.definition.evaluation import EvaluateConfig
from loom_common.errors import RecordError
from loom_common.user_code.poison_isolation import USER_CODE
from loom_common.worker.context import Context
from loom_dev.waiting import within
from loom_evaluator.runner import EvaluatorRunner

CODE = """
import asyncio, threading
release = threading.Event()

def hangs(output, record):
    if record["n"] == 1:
        release.wait(5)
    return 1.0

async def waits(output, record):
    if record["n"] == 1:
        await asyncio.sleep(3600)
    return 1.0

class Gate:
    def apply(self, scores):
        if scores[0].value < 0.5:
            release.wait(5)
        return True

def by_number(output, record):
    return 0.0 if record["n"] == 1 else 1.0
"""
RECORDS = [TransformedRecord(id=f"r{n}", input={"n": n}, output=None) for n in range(3)]


@pytest.fixture
def runner(tmp_path):
    (tmp_path / "mine.py").write_text(CODE)

    def make(function="mine:hangs", gate="all_pass", timeout="0.2s", record_seconds=60.0, kind="python"):
        python = {"type": "python", "function": function, "threshold": 0.0, "timeout": timeout}
        evaluators = [python if kind == "python" else {"type": kind, "min": 0, "threshold": 0.0, "field": "n"}]
        config = EvaluateConfig.model_validate({"evaluators": evaluators, "quality_gate": gate})
        return EvaluatorRunner(config, tmp_path, record_seconds=record_seconds)

    return make


def verdicts(judgements):
    return [each.outcome.code if isinstance(each.outcome, RecordError) else each.outcome.passed for each in judgements]


@pytest.mark.parametrize("function", ["mine:hangs", "mine:waits"])
async def test_only_the_record_without_a_score_is_kept_back(runner, function):
    judgements = await runner(function).judge("run_1", RECORDS, Context())
    assert verdicts(judgements) == [True, "timeout", True]
    assert "Evaluator python: no score within 0.2 s" in str(judgements[1].outcome)


async def test_a_record_has_no_more_time_than_a_record_may_take(runner):
    async with within(3):
        judgements = await runner(timeout="30s", record_seconds=0.2).judge("run_1", RECORDS, Context())
    assert verdicts(judgements) == [True, "timeout", True]


async def test_a_gate_that_hangs_keeps_back_its_record(runner):
    judgements = await runner("mine:by_number", gate="mine:Gate", record_seconds=0.2).judge("run_1", RECORDS, Context())
    assert verdicts(judgements) == [True, "timeout", True]


def test_only_the_users_code_is_a_risk_to_the_process(runner):
    assert runner().risk is USER_CODE
    assert runner(kind="range", gate="mine:Gate").risk is USER_CODE
    assert runner(kind="range").risk is None
