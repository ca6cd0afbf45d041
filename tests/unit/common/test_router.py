"""Tests what a handler says of a batch's records, as messages: the one place where results meet routes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from loom_common.contracts.v1 import (
    BatchEvaluated,
    BatchExtracted,
    BatchTransformed,
    EvaluatedRecord,
    ExtractedRecord,
    KeptRecord,
    RunEpoch,
    TransformedRecord,
)
from loom_common.domain.run.attempts import Attempt
from loom_common.domain.run.calls import Calls
from loom_common.errors import UnreadableMessage
from loom_common.flow import Stage
from loom_common.worker import router
from loom_common.worker.consumer_spec import Accepts, ConsumerSpec
from loom_common.worker.context import Context
from loom_common.worker.stage_result import (
    Evaluated,
    Extracted,
    Loaded,
    Transformed,
    passed_unscored,
    unchanged,
)
from support.plans import batch_of, plan_of

BATCH = batch_of(plan_of({"type": "passthrough"}), [{"n": 1}, {"n": 2}])
HEADER = BATCH.header
INPUT = {"n": 1}
EXTRACTED = (ExtractedRecord(id="r0", input=INPUT),)
TRANSFORMED = (TransformedRecord(id="r0", input=INPUT, output=None),)
EVALUATED = (EvaluatedRecord(id="r0", input=INPUT, output=None),)
KEPT = [KeptRecord(record_id="r1", outcome="quarantined", code="odd", reason="odd", input={"n": 2})]
QUARANTINED = "loom.quarantine/quarantine"
CASES = {
    "extract": (router.extracted, BATCH, Extracted, EXTRACTED, BatchExtracted, "transform"),
    "transform": (router.transformed, BATCH, Transformed, TRANSFORMED, BatchTransformed, "evaluate"),
    "evaluate": (
        router.evaluated,
        BatchTransformed(header=HEADER, records=TRANSFORMED),
        Evaluated,
        EVALUATED,
        BatchEvaluated,
        "load",
    ),
}


@pytest.mark.parametrize("stage", CASES)
def test_records_that_go_on_come_first_then_those_kept_back_and_last_the_fact(stage):
    route, batch, result, records, kind, following = CASES[stage]
    outgoing = route(batch, result(records=records, kept=KEPT), Context())
    assert [str(each.route) for each in outgoing] == [
        f"loom.work/{following}.reviews",
        f"{QUARANTINED}.{stage}.reviews",
        f"loom.events/batch.{Stage(stage).done}.reviews",
    ]
    assert type(outgoing[0].message) is kind
    assert outgoing[0].message.records == records
    assert outgoing[0].message.header.tally.quarantined == 1


@pytest.mark.parametrize("stage", CASES)
def test_a_batch_of_which_nothing_is_left_ends_with_its_fact(stage):
    route, batch, result, *_ = CASES[stage]
    [fact] = route(batch, result(records=()), Context())
    assert str(fact.route) == f"loom.events/batch.{Stage(stage).done}.reviews"


def test_what_a_stage_achieved_is_in_the_tally():
    def tally(outgoing):
        return outgoing[-1].message.header.tally

    assert tally(router.transformed(BATCH, Transformed(records=TRANSFORMED), Context())).transformed == 1
    evaluated = tally(router.evaluated(CASES["evaluate"][1], Evaluated(records=EVALUATED, unscored=1), Context()))
    assert (evaluated.passed, evaluated.unscored) == (1, 1)
    loaded = tally(
        router.loaded(BatchEvaluated(header=HEADER, records=EVALUATED), Loaded(loaded=3, staged=2, second=1), Context())
    )
    assert (loaded.loaded, loaded.staged, loaded.second) == (3, 2, 1)


def test_the_calls_of_the_context_are_in_the_fact_and_in_the_tally():
    context = Context()
    call = Calls(purpose="transform", provider="openai", model="m", made=1, tokens_in=10, tokens_out=2, cost=0.5)
    context.usage.enter("k", "r0", call)
    fact = router.transformed(BATCH, Transformed(records=TRANSFORMED), context)[-1].message
    assert [each.made for each in fact.calls] == [1]
    assert (fact.header.tally.calls_made, fact.header.tally.cost_transform) == (1, 0.5)


def test_loaded_records_that_the_quarantine_may_hold_are_named_to_it_first():
    batch = BatchEvaluated(header=HEADER, records=EVALUATED)
    resolved, fact = router.loaded(batch, Loaded(loaded=1, resolved=("r0",)), Context())
    assert str(resolved.route) == f"{QUARANTINED}.loaded.reviews"
    assert resolved.message.record_ids == ("r0",)
    assert str(fact.route) == "loom.events/batch.loaded.reviews"


def test_kept_records_name_the_attempt_unless_the_worker_tried_them_more_often():
    kept = [*KEPT, KEPT[0].model_copy(update={"record_id": "r2", "attempts": 5})]
    message, _ = router.transformed(BATCH, Transformed(records=(), kept=kept), Context(Attempt(2)))
    assert [record.attempts for record in message.message.records] == [2, 5]


NEXT = {
    "extract, nothing between": (router.extracted, Extracted, EXTRACTED, "extract load", BatchEvaluated),
    "extract, evaluators": (router.extracted, Extracted, EXTRACTED, "extract evaluate load", BatchTransformed),
    "transform, no evaluators": (
        router.transformed,
        Transformed,
        TRANSFORMED,
        "extract transform load",
        BatchEvaluated,
    ),
}


@pytest.mark.parametrize("case", NEXT)
def test_a_batch_goes_to_the_next_stage_that_it_visits(case):
    route, result, records, stages, kind = NEXT[case]
    visits = tuple(Stage(name) for name in stages.split())
    following = "load" if kind is BatchEvaluated else "evaluate"
    forward, kept, fact = route(BATCH, result(records=records, kept=KEPT, stages=visits), Context())
    assert (str(forward.route), type(forward.message)) == (f"loom.work/{following}.reviews", kind)
    assert [(each.id, each.input, each.result) for each in forward.message.records] == [("r0", INPUT, INPUT)]
    assert str(kept.route) == f"{QUARANTINED}.{case.partition(',')[0]}.reviews"
    assert fact.message.header == forward.message.header


def test_the_tally_is_the_same_with_and_without_the_hops_between():
    """Each stage that has nothing to do gives its own result when it is visited."""
    short, *_ = router.extracted(BATCH, Extracted(records=BATCH.records, stages=(Stage.EXTRACT, Stage.LOAD)), Context())
    every = tuple(Stage)
    checked, *_ = router.extracted(BATCH, Extracted(records=BATCH.records), Context())
    changed, *_ = router.transformed(checked.message, unchanged(checked.message.records, every), Context())
    judged, *_ = router.evaluated(changed.message, passed_unscored(changed.message.records), Context())
    assert judged.message == short.message
    assert judged.message.message_id == short.message.message_id
    assert judged.route == short.route


IDLE = {
    "transform": (router.transformed, BATCH, unchanged(BATCH.records, tuple(Stage)), BatchTransformed),
    "evaluate": (router.evaluated, CASES["evaluate"][1], passed_unscored(TRANSFORMED), BatchEvaluated),
}


@pytest.mark.parametrize("stage", IDLE)
def test_a_stage_with_nothing_to_do_tells_no_fact_of_a_batch_that_goes_on(stage):
    route, batch, result, kind = IDLE[stage]
    [forward] = route(batch, result, Context())
    assert type(forward.message) is kind
    assert forward.message.header.tally.transformed + forward.message.header.tally.passed == len(batch.records)
    none_left = batch.model_copy(update={"records": ()})
    [fact] = route(none_left, replace(result, records=()), Context())
    assert str(fact.route) == f"loom.events/batch.{Stage(stage).done}.reviews"


def test_a_record_that_no_stage_changes_is_made_once_for_all_of_them():
    both = unchanged(BATCH.records, (Stage.EXTRACT, Stage.LOAD)).records
    assert passed_unscored(both).records == both
    assert all(one is other for one, other in zip(passed_unscored(both).records, both, strict=True))
    assert type(unchanged(BATCH.records, tuple(Stage)).records[0]) is TransformedRecord


async def test_a_message_goes_to_the_handler_of_its_type():
    async def handle(batch: BatchExtracted, context: Context) -> Transformed:
        return Transformed(records=TRANSFORMED)

    spec = ConsumerSpec("loom.transform", (Accepts(BatchExtracted, handle, router.transformed),))
    assert spec.kinds == (BatchExtracted,)
    assert len(await spec.handle(BATCH, Context())) == 2
    with pytest.raises(UnreadableMessage, match=r"is not accepted on loom.transform"):
        await spec.handle(RunEpoch(run_id="run_1", epoch=1), Context())
