"""Tests Python functions that a model uses as tools."""

from __future__ import annotations

import orjson
import pytest
from pydantic import ValidationError

from loom_ai.journal.models import JournalledModels
from loom_ai.stores.memory.journal import MemoryJournal
from loom_ai.wire.tool_turns import ToolUse, results_in, use_text
from loom_common.domain.model_options.several_calls import ToolConfig
from loom_common.errors import UserCodeError
from loom_common.worker.context import Context
from loom_transformer.transforms.asking.tool_functions import tool_function
from loom_transformer.transforms.catalog import Catalog
from support.plans import batch_of, plan_of
from support.scripted_model import ScriptedModel, answer_of

CODE = '''
import asyncio
import threading
from pathlib import Path

HERE = Path(__file__).parent
LET_GO = threading.Event()


def price(item: str, pieces: int = 1) -> float:
    """Look up what an item costs.

    Args:
        item: The name of the item,
            in English.
        pieces: How many.
    """
    note("price", item)
    return 3.5 * pieces


async def stock(item: str) -> dict:
    """Tell how many there are.

    :param item: Its name.
    """
    await asyncio.sleep(0)
    return {"left": 2}


def refund(item: str, idempotency_key: str) -> str:
    """Refund an item."""
    note("refund", idempotency_key)
    return "done"


def broken(item: str) -> str:
    """Fail."""
    raise KeyError(item)


def hangs(item: str) -> str:
    """Never come back."""
    LET_GO.wait(30)


def untyped(item) -> str:
    """Take anything."""


def undescribed(item: str) -> str:
    return item


def many(*items: str) -> str:
    """Take many."""


def note(name, text):
    with (HERE / f"{name}.txt").open("a") as file:
        file.write(f"{text}\\n")
'''
AI = {
    "type": "ai",
    "prompt": "{{ input.review }}",
    "model": "openai:gpt-4o-mini",
    "base_url": "http://h/v1",
    "output": {"mood": "string"},
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "tools.py").write_text(CODE)
    return tmp_path


def _using(*uses):
    """Ask for these tools one after another, then answer."""

    def answer(call):
        done = sum(message.role == "tool_use" for message in call.messages)
        if done == len(uses):
            return answer_of('{"mood": "good"}')
        name, arguments = uses[done]
        return answer_of(use_text([ToolUse(f"c{done}", name, arguments)], {}), "tool_calls")

    return answer


async def _applied(folder, tools, answer, *, journal=None, models=None, **changes):
    plan = plan_of({**AI, "tools": tools}, **changes)
    model, context = ScriptedModel(answer), Context()
    models = models or JournalledModels(model, journal or MemoryJournal())
    transform = Catalog(models, folder).transform_of(plan)
    (outcome,) = await transform.apply("run_1", batch_of(plan, [{"review": "x"}]).records, context)
    return model, outcome, {line.purpose: line.made for line in context.usage.lines()}


def _told(model):
    """Return the last result that the model was told, and whether it was one of a failure."""
    (result,) = results_in(model.calls[-1].messages[-1])
    return result.text, result.failed


def _noted(folder, name):
    path = folder / f"{name}.txt"
    return path.read_text().split() if path.exists() else []


def test_a_tool_is_described_by_its_type_hints_and_its_docstring(folder):
    spec = tool_function(ToolConfig(function="tools:price"), folder).spec
    assert (spec.name, spec.description) == ("price", "Look up what an item costs.")
    item, pieces = (spec.parameters["properties"][name] for name in ("item", "pieces"))
    assert (item["type"], item["description"]) == ("string", "The name of the item, in English.")
    assert (pieces["type"], pieces["default"], pieces["description"]) == ("integer", 1, "How many.")
    assert spec.parameters["required"] == ["item"]
    other = tool_function(ToolConfig(function="tools:stock", name="left", description="Counts."), folder).spec
    assert (other.name, other.description) == ("left", "Counts.")
    assert other.parameters["properties"]["item"]["description"] == "Its name."


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"function": "tools:untyped"}, "item has no type"),
        ({"function": "tools:undescribed"}, "no docstring"),
        ({"function": "tools:many"}, "by name, and not `*items"),
        ({"function": "tools:price", "idempotent": True}, "idempotency_key: str"),
        ({"function": "tools:pricee"}, "Did you mean 'price'"),
    ],
)
def test_a_function_that_is_no_tool_is_refused_with_the_reason(folder, config, words):
    with pytest.raises(UserCodeError) as refused:
        tool_function(ToolConfig(**config), folder)
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"tools": [{"function": "tools:refund", "changes": True}]}, "`idempotent: true` beside `changes: true`"),
        ({"max_rounds": 3}, "`tools`, whose rounds it limits"),
        ({"tools": ["tools:price", "others:price"]}, "another tool is called price"),
        ({"tools": ["price"]}, "module:name"),
        ({"tools": ["tools:price"], "records_per_call": 2}, "no `records_per_call` beside `tools`"),
    ],
)
def test_what_does_not_fit_together_is_refused(config, expected):
    with pytest.raises(ValidationError) as refused:
        plan_of({**AI, **config})
    assert expected in str(refused.value)


@pytest.mark.parametrize(
    ("use", "told"),
    [
        (("price", {"item": "tea", "pieces": 2}), ("7.0", False)),
        (("stock", {"item": "tea"}), ('{"left":2}', False)),
        (("price", {"item": 3}), ("The arguments do not fit: item: Input should be a valid string", True)),
        (("price", None), ("The arguments do not fit: the arguments are no JSON object", True)),
        (("broken", {"item": "tea"}), ("broken raised KeyError: 'tea'", True)),
        (("nothing", {}), ("There is no tool nothing; there is price, stock, broken.", True)),
    ],
)
async def test_the_model_is_told_what_a_tool_returned_or_what_went_wrong(folder, use, told):
    tools = ["tools:price", "tools:stock", "tools:broken"]
    model, outcome, purposes = await _applied(folder, tools, _using(use))
    assert outcome.output == {"mood": "good"}
    assert _told(model) == told
    assert purposes == {"transform": 1, "tools": 1, "tool_error" if told[1] else "tool": 1}


async def test_a_tool_that_does_not_come_back_is_given_up_and_the_model_is_told(folder):
    tools = [{"function": "tools:hangs", "timeout": "0.1s"}]
    model, outcome, _ = await _applied(folder, tools, _using(("hangs", {"item": "tea"})))
    assert outcome.error is None
    assert "did not come back" in _told(model)[0]


async def test_what_a_tool_returned_is_not_computed_again_for_the_same_record(folder):
    journal, use = MemoryJournal(), ("price", {"item": "tea"})
    _, first, before = await _applied(folder, ["tools:price"], _using(use), journal=journal)
    model, again, after = await _applied(folder, ["tools:price"], _using(use), journal=journal)
    assert (first.output, before) == (again.output, after)
    assert model.calls == []
    assert _noted(folder, "price") == ["tea"]


async def test_a_tool_that_changes_something_gets_a_key_by_which_it_knows_the_same_use_again(folder):
    tools = [{"function": "tools:refund", "changes": True, "idempotent": True}]
    use = ("refund", {"item": "tea"})
    await _applied(folder, tools, _using(use, use, ("refund", {"item": "mug"})))
    await _applied(folder, tools, _using(use))  # another process, whose journal did not get the result
    first, second, other, later = _noted(folder, "refund")
    assert first == second == later != other


async def test_a_trial_changes_nothing(folder):
    tools = [{"function": "tools:refund", "changes": True, "idempotent": True}, "tools:price"]
    uses = _using(("price", {"item": "tea"}), ("refund", {"item": "tea"}))
    model, _, _ = await _applied(folder, tools, uses, beside=True)
    assert (_noted(folder, "price"), _noted(folder, "refund")) == (["tea"], [])
    assert "trial" in _told(model)[0]


@pytest.mark.parametrize("instead", ["made_up", "refused"])
async def test_estimates_and_rescorings_run_no_tool(folder, instead):
    models = JournalledModels(ScriptedModel(_using(("price", {"item": "tea"}))), MemoryJournal())
    models.tools = instead
    _, outcome, _ = await _applied(folder, ["tools:price"], None, models=models)
    assert _noted(folder, "price") == []
    assert (outcome.error and outcome.error.code) == ("no_answer_kept" if instead == "refused" else None)


async def test_samples_use_tools_each_by_itself(folder):
    journal = MemoryJournal()
    plan = plan_of({**AI, "tools": ["tools:price"], "n": 2, "temperature": 1})
    model = ScriptedModel(_using(("price", {"item": "tea"})))
    transform = Catalog(JournalledModels(model, journal), folder).transform_of(plan)
    (outcome,) = await transform.apply("run_1", batch_of(plan, [{"review": "x"}]).records, Context())
    assert outcome.output == {"mood": "good", "agreement": 1.0}
    assert sorted(call.sample for call in model.calls) == [0, 0, 1, 1]
    assert orjson.loads(model.calls[-1].messages[-1].content)[0]["text"] == "3.5"
