"""Tests that a transformed batch in gives judged records out."""

import pytest

from loom_common.adapters.payloads.folder import FolderPayloads
from loom_common.caching.plan_cache import PlanCache
from loom_common.contracts.v1 import (
    BatchEvaluated,
    BatchFact,
    BatchHeader,
    BatchTransformed,
    RecordsQuarantined,
    TransformedRecord,
)
from loom_common.domain.definition.reader import parse
from loom_common.domain.run.plan import Plan
from loom_common.domain.run.tally import Tally
from loom_common.errors import PermanentError
from loom_common.flow import Stage
from loom_evaluator.handler import Evaluator
from loom_evaluator.runners import Runners
from support.handling import outgoing_of, runner_of

MATCH = {"type": "exact_match", "reference_field": "expected", "field": "label", "threshold": 1.0}
SHORT = {"type": "length", "field": "label", "max": 3, "threshold": 1.0}


async def evaluate(folder, records, evaluators=(MATCH, SHORT), **section):
    definition = {
        "name": "p",
        "extract": {"source": "x.csv"},
        "transform": {"type": "passthrough"},
        "load": {"destination": "y.csv"},
    }
    if evaluators:
        definition["evaluate"] = {"evaluators": list(evaluators), **section}
    payloads = FolderPayloads(folder / "payloads")
    plan = await payloads.put(Plan(pipeline=parse(definition)).encoded())
    header = BatchHeader(
        run_id="run_1",
        pipeline="p",
        plan=plan,
        epoch=1,
        batch_id="b",
        partition=0,
        slice=0,
        position=0,
        tally=Tally(extracted=len(records), transformed=len(records)),
    )
    outgoing = await outgoing_of(
        Evaluator(runner_of(PlanCache(payloads), Runners(folder).runner_of, Stage.EVALUATE)),
        BatchTransformed(header=header, records=tuple(records)),
    )
    return Result(outgoing)


class Result:
    def __init__(self, outgoing):
        self.routes = [str(each.route) for each in outgoing]
        by_type = {type(each.message): each.message for each in outgoing}
        self.batch = by_type.get(BatchEvaluated)
        self.kept = by_type[RecordsQuarantined].records if RecordsQuarantined in by_type else ()
        self.fact = by_type.get(BatchFact)


def record(number, label, expected):
    return TransformedRecord(id=number, input={"expected": expected}, output={"label": label, "n": 1})


async def test_what_passes_goes_on_with_its_scores(tmp_path):
    result = await evaluate(tmp_path, [record("1", "pos", "pos")])
    assert result.routes == ["loom.work/load.p", "loom.events/batch.evaluated.p"]
    [passed] = result.batch.records
    assert (passed.id, passed.scores, passed.output) == (
        "1",
        {"exact_match": 1.0, "length": 1.0},
        {"label": "pos", "n": 1},
    )
    assert result.batch.header.tally == result.fact.header.tally
    assert (result.fact.header.tally.passed, result.fact.header.tally.rejected) == (1, 0)


async def test_what_the_gate_rejects_is_kept_with_reason_scores_and_output(tmp_path):
    result = await evaluate(tmp_path, [record("1", "pos", "pos"), record("2", "neutral", "neg")])
    [kept] = result.kept
    assert (kept.record_id, kept.outcome, kept.code) == ("2", "rejected", "gate")
    assert kept.reason == "Multiple evaluators failed: exact_match (0.00 < 1), length (0.00 < 1)"
    assert (kept.scores, kept.output) == ({"exact_match": 0.0, "length": 0.0}, {"label": "neutral", "n": 1})
    assert (result.fact.header.tally.passed, result.fact.header.tally.rejected) == (1, 1)


async def test_every_score_is_told_with_its_explanation(tmp_path):
    result = await evaluate(tmp_path, [record("2", "neg", "pos")])
    told = [(e.record_id, e.name, e.score, e.passed, e.explanation) for e in result.fact.evaluations]
    assert told == [
        ("2", "exact_match", 0.0, False, "found 'neg', expected 'pos'"),
        ("2", "length", 1.0, True, None),
    ]


async def test_a_batch_of_which_nothing_passes_ends_here(tmp_path):
    result = await evaluate(tmp_path, [record("1", "a", "b")])
    assert result.batch is None
    assert result.routes == ["loom.quarantine/quarantine.evaluate.p", "loom.events/batch.evaluated.p"]
    assert result.fact.header.tally.balanced


@pytest.mark.parametrize(("on_failure", "outcome"), [("quarantine", "quarantined"), ("skip", "skipped")])
async def test_an_evaluator_error_never_counts_as_a_pass(tmp_path, on_failure, outcome):
    broken = TransformedRecord(id="1", input={}, output={"label": "pos", "n": 1})
    result = await evaluate(tmp_path, [broken], on_failure=on_failure)
    [kept] = result.kept
    assert (kept.outcome, kept.code) == (outcome, "evaluator_error")
    assert kept.reason == "Evaluator exact_match: the input has no field 'expected'; its fields: none"
    assert kept.scores == {"length": 1.0}
    assert getattr(result.fact.header.tally, outcome) == 1


async def test_an_evaluator_error_under_abort_fails_the_run(tmp_path):
    broken = TransformedRecord(id="1", input={}, output={"label": "pos"})
    with pytest.raises(PermanentError, match="Record 1: Evaluator exact_match: the input has no field"):
        await evaluate(tmp_path, [broken], on_failure="abort")


async def test_without_evaluators_everything_passes_unscored(tmp_path):
    records = [TransformedRecord(id="1", input={"a": 1}, output=None)]
    result = await evaluate(tmp_path, records, evaluators=())
    [passed] = result.batch.records
    assert (passed.output, passed.scores) == (None, {})
    assert result.batch.header.tally.passed == 1
    assert result.fact is None


async def test_a_weighted_gate_weighs_scores_without_thresholds(tmp_path):
    weighing = [
        {key: value for key, value in {**MATCH, "weight": 3}.items() if key != "threshold"},
        {key: value for key, value in SHORT.items() if key != "threshold"},
    ]
    gate = {"type": "weighted", "threshold": 0.75}
    result = await evaluate(
        tmp_path, [record("1", "long", "long"), record("2", "neg", "pos")], weighing, quality_gate=gate
    )
    assert [passed.id for passed in result.batch.records] == ["1"]
    assert [kept.reason for kept in result.kept] == ["Weighted average below threshold (0.250 < 0.75)"]


async def test_an_exception_in_a_gate_is_an_evaluator_error(tmp_path):
    (tmp_path / "moody.py").write_text("class Gate:\n    def apply(self, scores):\n        return 1 / 0\n")
    result = await evaluate(tmp_path, [record("1", "pos", "pos")], quality_gate="moody:Gate")
    [kept] = result.kept
    assert (kept.outcome, kept.reason) == (
        "quarantined",
        "Quality gate moody:Gate raised ZeroDivisionError: division by zero",
    )


async def test_async_and_sync_functions_judge_side_by_side(tmp_path):
    (tmp_path / "both.py").write_text(
        "async def waits(output, record):\n    return 0.5\n\n"
        "def computes(output, record):\n    return 1.0 if record['expected'] == 'pos' else 0.25\n"
    )
    pair = [
        {"name": name, "type": "python", "function": f"both:{name}", "threshold": 0.5} for name in ("waits", "computes")
    ]
    result = await evaluate(tmp_path, [record("1", "a", "pos"), record("2", "a", "neg")], pair)
    assert [passed.scores for passed in result.batch.records] == [{"waits": 0.5, "computes": 1.0}]
    assert [kept.reason for kept in result.kept] == ["computes evaluator below threshold (0.25 < 0.5)"]
