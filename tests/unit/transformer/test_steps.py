"""Tests how a batch goes through the steps of a transform, in one visit."""

from __future__ import annotations

import asyncio
import json
import math

import pytest

from loom_ai.stores.memory.journal import MemoryJournal
from loom_common.contracts.v1 import BatchFact, BatchTransformed, RecordsQuarantined
from loom_common.errors import PermanentError
from support.scripted_model import ScriptedModel, answer_of
from support.stepping import ROUTE, counts, fact_of, outputs, step, through


async def test_branches_join_again_and_parallel_steps_are_merged_by_name(tmp_path):
    steps = [
        ROUTE,
        step("even", ["route.even"]),
        step("odd", ["route.odd"]),
        step("double"),
        step("told", ["even", "odd", "double"]),
    ]
    messages = await through(tmp_path, steps, [{"n": 1}, {"n": 2}])
    assert outputs(messages) == {
        "r0": {"double": 2, "kind": "odd", "told": "odd 2"},
        "r1": {"double": 4, "kind": "even", "told": "even 4"},
    }
    assert counts(messages, "seen") == {
        "route": (2,), "route.even": (1,), "route.odd": (1,), "even": (1,), "odd": (1,), "double": (2,), "told": (2,),
    }  # fmt: skip


async def test_a_step_sees_the_fields_of_the_steps_that_it_needs_and_of_no_other(tmp_path):
    messages = await through(tmp_path, [step("double"), step("even"), step("seen", ["even"])], [{"n": 1}])
    assert outputs(messages)["r0"]["seen"] == ["kind", "n"]


async def test_filtered_records_are_neither_loaded_nor_kept_and_no_later_step_sees_them(tmp_path):
    drop = {"name": "some", "type": "filter", "where": "n > 1"}
    messages = await through(tmp_path, [drop, step("double", ["some"])], [{"n": 1}, {"n": 2}])
    assert outputs(messages) == {"r1": {"double": 4}}
    assert counts(messages, "seen", "filtered") == {"some": (2, 1), "double": (1, 0)}
    tally = fact_of(messages).header.tally
    assert (tally.extracted, tally.transformed) == (2, 1)
    assert (tally.filtered, tally.underway) == (1, 1)
    assert not any(isinstance(each, RecordsQuarantined) for each in messages)


async def test_a_batch_of_which_everything_is_filtered_ends(tmp_path):
    messages = await through(tmp_path, [{"name": "none", "type": "filter", "where": "n > 5"}], [{"n": 1}])
    assert [type(each) for each in messages] == [BatchFact]
    assert fact_of(messages).header.tally.balanced


async def test_a_required_step_keeps_the_record_back_an_optional_one_lets_it_go_on(tmp_path):
    for criticality, kept in [("required", ["r0"]), ("optional", [])]:
        steps = [step("three", criticality=criticality), step("double", ["three"])]
        messages = await through(tmp_path, steps, [{"n": 3}, {"n": 4}])
        records = [each for m in messages if isinstance(m, RecordsQuarantined) for each in m.records]
        assert [each.record_id for each in records] == kept
        assert outputs(messages)["r1"] == {"fine": True, "double": 8}
        assert counts(messages, "seen", "failed")["three"] == (2, 1)
        assert all(each.reason.startswith("Step three: ") and each.details["step"] == "three" for each in records)
        assert kept or outputs(messages)["r0"] == {"double": 6}


async def test_a_critical_step_fails_the_run(tmp_path):
    with pytest.raises(PermanentError, match=r"Record r0: Step three: .*no three.* \(criticality: critical\)"):
        await through(tmp_path, [step("three", criticality="critical")], [{"n": 3}])


async def test_a_step_passes_by_the_records_that_its_condition_is_not_true_of(tmp_path):
    steps = [step("double", when="n > 1"), step("seen", ["double"])]
    messages = await through(tmp_path, steps, [{"n": 1}, {"n": 2}])
    assert {name: each["seen"] for name, each in outputs(messages).items()} == {"r0": ["n"], "r1": ["double", "n"]}
    assert counts(messages, "seen", "passed") == {"double": (1, 1), "seen": (2, 0)}


async def test_a_record_that_no_branch_is_for_is_kept_back(tmp_path):
    messages = await through(
        tmp_path, [{**ROUTE, "otherwise": None}, step("even", ["route.even"])], [{"n": 1}, {"n": 2}]
    )
    (kept,) = [each for m in messages if isinstance(m, RecordsQuarantined) for each in m.records]
    assert (kept.record_id, kept.code) == ("r0", "no_route")
    assert outputs(messages) == {"r1": {"kind": "even"}}


async def test_a_step_tries_again_and_falls_back_by_itself(tmp_path):
    again = step("second_time", on_failure="retry", max_attempts=2)
    fixed = step("three", ["second_time"], fallback={"value": {"fine": False}}, output={"fine": "boolean"})
    messages = await through(tmp_path, [again, fixed], [{"n": 3}])
    assert outputs(messages) == {"r0": {"tries": 2, "fine": False}}
    (record,) = next(each for each in messages if isinstance(each, BatchTransformed)).records
    assert record.answered_by == "three: fallback value"


async def test_two_steps_that_make_the_same_field_unseen_keep_the_record_back(tmp_path):
    messages = await through(tmp_path, [step("even"), step("odd")], [{"n": 1}])
    (kept,) = [each for m in messages if isinstance(m, RecordsQuarantined) for each in m.records]
    assert kept.code == "field_conflict"


async def test_the_declared_output_leaves_out_what_it_does_not_name(tmp_path):
    steps = [step("double"), step("even")]
    messages = await through(tmp_path, steps, [{"n": 1}], output={"double": "integer"})
    assert outputs(messages) == {"r0": {"double": 2}}


def asking(name, prompt, needs=(), **keys):
    output = {f"{name}_said": "string"}
    return {
        "name": name,
        "type": "ai",
        "model": "gpt-4o-mini",
        "prompt": prompt,
        "needs": list(needs),
        "output": output,
        **keys,
    }


class Echo(ScriptedModel):
    """Answers with the field that the question names, and counts who asks at the same time."""

    def __init__(self):
        super().__init__()
        self.asked, self.together, self.most = [], 0, 0

    async def complete(self, call, waits=None):
        self.asked.append(call.messages[-1].content)
        self.together += 1
        self.most = max(self.most, self.together)
        await asyncio.sleep(0)
        self.together -= 1
        (field,) = call.schema["properties"]
        return answer_of(json.dumps({field: f"answer to {call.messages[-1].content}"}))


async def test_a_later_question_holds_the_answer_to_an_earlier_one_and_a_changed_step_asks_only_itself(tmp_path):
    model, journal = Echo(), MemoryJournal()
    first = asking("first", "Q1 {{ input.n }}")
    second = asking("second", "Q2 {{ input.first_said }}", ["first"])
    messages = await through(tmp_path, [first, second], [{"n": 1}], model, journal)
    assert model.asked == ["Q1 1", "Q2 answer to Q1 1"]
    assert counts(messages, "calls_made", "calls_from_cache") == {"first": (1, 0), "second": (1, 0)}
    model.asked.clear()
    await through(tmp_path, [first, {**second, "prompt": "Q3 {{ input.first_said }}"}], [{"n": 1}], model, journal)
    assert model.asked == ["Q3 answer to Q1 1"]


async def test_each_step_asks_with_its_own_options(tmp_path):
    seeded = asking("a", "A {{ input.n }}", seed=7, logprobs=True)
    plain = asking("b", "B {{ input.confidence }}", ["a"], reasoning="low")
    first = answer_of('{"a_said": "x"}', logprobs=((14, -0.25),))
    model = ScriptedModel(first, answer_of('{"b_said": "y"}'))
    messages = await through(tmp_path, [seeded, plain], [{"n": 1}], model)
    confidence = math.exp(-0.25)
    assert outputs(messages) == {"r0": {"a_said": "x", "confidence": pytest.approx(confidence), "b_said": "y"}}
    options = [(call.asking.seed, call.asking.logprobs, call.asking.effort) for call in model.calls]
    assert options == [(7, True, None), (None, False, "low")]


async def test_parallel_steps_ask_at_the_same_time_and_each_pays_its_own(tmp_path):
    model = Echo()
    messages = await through(
        tmp_path, [asking("a", "A {{ input.n }}"), asking("b", "B {{ input.n }}")], [{"n": 1}], model
    )
    assert model.most == 2
    fact = fact_of(messages)
    assert sum(each.cost for each in fact.steps) == pytest.approx(sum(each.cost for each in fact.calls))
    assert sum(each.calls_made for each in fact.steps) == 2
