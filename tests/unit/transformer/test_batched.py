"""Tests scorers that are given several texts at once."""

from __future__ import annotations

import pytest

from loom_ai.journal.models import JournalledModels
from loom_ai.stores.memory.journal import MemoryJournal
from loom_common.errors import UserCodeError
from loom_common.worker.context import Context
from loom_transformer.transforms.catalog import Catalog
from support.plans import batch_of, plan_of
from support.scripted_model import ScriptedModel

MODULE = """
import asyncio, time

calls = []

class Lengths:
    made = 0
    def __init__(self): type(self).made += 1
    def score(self, texts):
        calls.append(len(texts))
        if "poison" in texts: raise ValueError("no poison")
        if "hang" in texts: time.sleep(60)
        if "short" in texts and len(texts) > 1: return [{"n": 1}]
        return [{"n": len(text), "made": self.made} if text != "odd" else {"n": "many"} for text in texts]

class Later(Lengths):
    async def score(self, texts):
        await asyncio.sleep(0)
        return super().score(texts)

class Text:
    def __call__(self, text): return {"n": len(text)}
    def score(self, anything): raise AssertionError("it can be called, so this is its own affair")

class Wrong:
    def score(self, texts): return "abc"
"""


@pytest.fixture
def scored(tmp_path):
    """Provide what scores texts, and gives the outcomes and the sizes of the calls."""
    (tmp_path / "own.py").write_text(MODULE, encoding="utf-8")
    catalog = Catalog(JournalledModels(ScriptedModel(), MemoryJournal()), tmp_path)

    async def score(name, *texts, timeouts=None, **changes):
        plan = plan_of({"type": "scorer", "scorer": f"own:{name}", "field": "text", **changes})
        if timeouts:
            limits = plan.pipeline.timeouts.model_copy(update=timeouts)
            plan = plan.model_copy(update={"pipeline": plan.pipeline.model_copy(update={"timeouts": limits})})
        transform = catalog.transform_of(plan)
        calls = next(iter(catalog._scorers._loaded.values())).score.__globals__["calls"]
        calls.clear()
        outcomes = await transform.apply("run_1", batch_of(plan, [{"text": each} for each in texts]).records, Context())
        return outcomes, list(calls)

    return score


@pytest.mark.parametrize("name", ["Lengths", "Later"])
async def test_texts_are_scored_together_in_order_sync_or_async(scored, name):
    outcomes, calls = await scored(name, *("a" * number for number in range(1, 8)), batch={"size": 3})
    assert [each.output["n"] for each in outcomes] == list(range(1, 8))
    assert calls == [3, 3, 1]
    assert {each.output["made"] for each in outcomes} == {1}  # the model is loaded once


async def test_without_a_size_a_call_has_32_texts(scored):
    _, calls = await scored("Lengths", *["a"] * 40)
    assert calls == [32, 8]


@pytest.mark.parametrize("name", ["Lengths", "Later"])
async def test_a_call_that_fails_costs_the_record_at_fault_alone(scored, name):
    outcomes, calls = await scored(name, "a", "poison", "bc", batch=3)
    assert [each.output and each.output["n"] for each in outcomes] == [1, None, 2]
    assert "ValueError: no poison" in str(outcomes[1].error)
    assert calls == [3, 1, 1, 1]


async def test_outputs_that_are_too_few_are_asked_for_singly(scored):
    outcomes, calls = await scored("Lengths", "short", "b", batch=2)
    assert [each.output["n"] for each in outcomes] == [5, 1]
    assert calls == [2, 1, 1]


async def test_a_call_that_hangs_is_given_up_on_and_its_other_texts_are_scored(scored):
    outcomes, _ = await scored("Lengths", "a", "hang", batch=2, timeouts={"record": "2s"})
    assert outcomes[0].output["n"] == 1
    assert outcomes[1].error.code == "timeout"


async def test_a_missing_field_and_an_output_of_another_shape_are_the_record_s_own(scored):
    outcomes, calls = await scored("Lengths", "a", None, "odd", output={"n": "integer", "made": "integer"})
    assert [each.error and each.error.code for each in outcomes] == [None, "missing_field", "invalid_output"]
    assert calls == [2]


async def test_an_instance_that_can_be_called_is_called(scored):
    outcomes, _ = await scored("Text", "abc")
    assert outcomes[0].output == {"n": 3}
    with pytest.raises(UserCodeError, match="takes one text at a time"):
        await scored("Text", "abc", batch=4)


async def test_what_is_no_list_of_outputs_is_an_error_that_says_so(scored):
    outcomes, _ = await scored("Wrong", "abc")
    assert "own:Wrong.score() returned str, not a list with an output for each text" in str(outcomes[0].error)
