from __future__ import annotations

import pytest

from loom_ai.journal.models import JournalledModels
from loom_ai.stores.memory.journal import MemoryJournal
from loom_common.contracts.v1 import BatchFact, BatchTransformed, RecordsQuarantined
from loom_common.domain.run.stages import has_work
from loom_common.errors import DependencyUnavailable, PermanentError, UserCodeError
from loom_common.flow import Stage
from loom_transformer.handler import Transformer
from loom_transformer.transforms.catalog import Catalog
from support.handling import outgoing_of, runner_of
from support.plans import GivenPlans, batch_of, plan_of
from support.scripted_model import ScriptedModel, answer_of

AI = {"type": "ai", "prompt": "Judge {{ input.review }}", "model": "gpt-4o-mini"}
PASS = {"type": "passthrough"}
PASS_CHECKED = {**PASS, "output": {"n": "integer"}}


def _transformer(plan, folder, model=None, made=None):
    catalog = Catalog(JournalledModels(model or ScriptedModel(), MemoryJournal()), folder)

    def transform_of(plan):
        if made is not None:
            made.append(plan)
        return catalog.transform_of(plan)

    return Transformer(runner_of(GivenPlans(plan), transform_of, Stage.TRANSFORM))


async def test_a_batch_goes_on_to_evaluation_with_its_fact(tmp_path):
    plan = plan_of(PASS_CHECKED, every_hop=True)
    forward, fact = await outgoing_of(_transformer(plan, tmp_path), batch_of(plan, [{"n": 1}, {"n": 2}]))
    assert str(forward.route) == "loom.work/evaluate.reviews"
    assert isinstance(forward.message, BatchTransformed)
    assert [(record.id, record.input, record.output) for record in forward.message.records] == [
        ("r0", {"n": 1}, None),
        ("r1", {"n": 2}, None),
    ]
    assert str(fact.route) == "loom.events/batch.transformed.reviews"
    assert isinstance(fact.message, BatchFact)
    assert fact.message.header.tally == forward.message.header.tally
    assert (fact.message.header.tally.extracted, fact.message.header.tally.transformed) == (2, 2)
    assert sum(fact.message.latency.values()) == 2


async def test_a_transform_that_has_nothing_to_do_passes_records_on(tmp_path):
    plan = plan_of(PASS, every_hop=True)
    [forward] = await outgoing_of(_transformer(plan, tmp_path), batch_of(plan, [{"n": 1}, {"n": 2}]))
    assert str(forward.route) == "loom.work/evaluate.reviews"
    assert [(record.id, record.result) for record in forward.message.records] == [("r0", {"n": 1}), ("r1", {"n": 2})]
    assert forward.message.header.tally.transformed == 2


async def test_without_evaluators_a_batch_goes_straight_to_the_loader(tmp_path):
    plan = plan_of(PASS_CHECKED)
    forward, fact = await outgoing_of(_transformer(plan, tmp_path), batch_of(plan, [{"n": 1}]))
    assert str(forward.route) == "loom.work/load.reviews"
    assert (fact.message.stage, fact.message.header.tally.passed) == (Stage.TRANSFORM, 1)


@pytest.mark.parametrize("transform", [PASS, PASS_CHECKED, AI, {**PASS, "output": "text"}])
def test_a_transform_is_made_where_the_stage_has_work(tmp_path, transform):
    plan = plan_of(transform)
    made = Catalog(JournalledModels(ScriptedModel(), MemoryJournal()), tmp_path).transform_of(plan)
    assert (made is not None) == has_work(Stage.TRANSFORM, plan.pipeline)


async def test_a_record_that_fails_is_kept_and_its_neighbours_go_on(tmp_path):
    plan = plan_of(PASS_CHECKED)
    forward, kept, fact = await outgoing_of(
        _transformer(plan, tmp_path), batch_of(plan, [{"n": 1}, {"n": "x"}, {"n": 3}])
    )
    assert [record.id for record in forward.message.records] == ["r0", "r2"]
    assert str(kept.route) == "loom.quarantine/quarantine.transform.reviews"
    assert isinstance(kept.message, RecordsQuarantined)
    (record,) = kept.message.records
    assert record.record_id == "r1"
    assert record.outcome == "quarantined"
    assert record.code == "invalid_output"
    assert record.input == {"n": "x"}
    assert "n: 'x' is not of type 'integer'" in record.reason
    assert (fact.message.header.tally.transformed, fact.message.header.tally.quarantined) == (2, 1)


async def test_where_no_record_is_left_the_fact_alone_ends_the_batch(tmp_path):
    plan = plan_of({**PASS_CHECKED, "on_failure": "skip"})
    kept, fact = await outgoing_of(_transformer(plan, tmp_path), batch_of(plan, [{"n": "x"}]))
    assert kept.message.records[0].outcome == "skipped"
    assert fact.message.header.tally.skipped == 1
    assert fact.message.header.tally.balanced


async def test_under_abort_a_failing_record_ends_the_run_and_is_named(tmp_path):
    plan = plan_of({**PASS_CHECKED, "on_failure": "abort"})
    with pytest.raises(PermanentError, match=r"Record r1: .*on_failure: abort"):
        await outgoing_of(_transformer(plan, tmp_path), batch_of(plan, [{"n": 1}, {"n": "x"}]))


async def test_calls_tokens_and_cost_are_in_the_tally(tmp_path):
    plan = plan_of(AI)
    batch = batch_of(plan, [{"review": "good"}, {"review": "bad"}, {"review": "good"}])
    _, fact = await outgoing_of(_transformer(plan, tmp_path), batch)
    tally = fact.message.header.tally
    assert tally.calls_made == 2
    assert tally.calls_from_cache == 1
    assert tally.tokens_in == 2000
    assert tally.tokens_out == 200
    assert tally.cost_transform == pytest.approx(0.00042)


async def test_a_failed_records_calls_are_in_the_tally_too(tmp_path):
    plan = plan_of({**AI, "output": {"mood": "string"}})
    transformer = _transformer(plan, tmp_path, ScriptedModel(answer_of("odd")))
    *_, fact = await outgoing_of(transformer, batch_of(plan, [{"review": "x"}]))
    assert (fact.message.header.tally.calls_made, fact.message.header.tally.quarantined) == (2, 1)


async def test_a_batch_delivered_twice_gives_the_same_messages(tmp_path):
    plan, model = plan_of(AI), ScriptedModel()
    transformer = _transformer(plan, tmp_path, model)
    batch = batch_of(plan, [{"review": "good"}, {"review": "good"}, {"review": "bad"}])
    first, second = [await outgoing_of(transformer, batch) for _ in range(2)]
    assert [out.message.message_id for out in first] == [out.message.message_id for out in second]
    assert first[0].message == second[0].message
    assert first[1].message.header == second[1].message.header
    assert len(model.calls) == 2


async def test_a_model_that_is_away_sets_the_whole_batch_back(tmp_path):
    plan = plan_of(AI)
    transformer = _transformer(plan, tmp_path, ScriptedModel(answer_of(), DependencyUnavailable("away")))
    with pytest.raises(DependencyUnavailable, match="away"):
        await outgoing_of(transformer, batch_of(plan, [{"review": str(n)} for n in range(5)]))


async def test_a_transform_is_made_once_per_plan(tmp_path):
    plan, made = plan_of(PASS), []
    transformer = _transformer(plan, tmp_path, made=made)
    for _ in range(3):
        await outgoing_of(transformer, batch_of(plan, [{"n": 1}]))
    assert made == [plan]


async def test_a_function_that_cannot_be_loaded_ends_the_run(tmp_path):
    plan = plan_of({"type": "python", "function": "nowhere:f"})
    with pytest.raises(UserCodeError, match="there is no module nowhere"):
        await outgoing_of(_transformer(plan, tmp_path), batch_of(plan, [{"n": 1}]))


async def test_functions_are_looked_for_in_the_plans_folder(tmp_path):
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "clean.py").write_text("def f(record): return {'n': record['n'] + 1}")
    plan = plan_of({"type": "python", "function": "clean:f"}, base="shop")
    forward, _ = await outgoing_of(_transformer(plan, tmp_path), batch_of(plan, [{"n": 1}]))
    assert forward.message.records[0].output == {"n": 2}
