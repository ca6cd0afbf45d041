"""Has questions answered by the batches of providers: each is paid for once, whatever happens on the way."""

from __future__ import annotations

import asyncio

import pytest

from loom_ai.batches.protocols.openai import OpenAiBatches
from loom_ai.batches.requests.values import Limits
from loom_ai.budget.prices import Prices
from loom_ai.simulated.formats import ChatCompletions
from loom_common.errors import AnswersPending
from loom_common.resilience import failpoints
from loom_dev.waiting import within
from support.batches import PROVIDERS, answered, ask_once, paid_once, process, question

EACH_PROVIDER = pytest.mark.parametrize("provider", PROVIDERS)
STEPS = (
    "before_batch_intent",
    "after_batch_intent",
    "before_batch_submission",
    "after_batch_submission",
    "after_batch_poll",
    "between_batch_results",
    "after_batch_answers",
)


@EACH_PROVIDER
async def test_a_batch_answers_for_half_the_price_and_a_direct_run_reuses_its_answers(model, url, tmp_path, provider):
    calls = [question(model, number, provider) for number in range(30)]
    async with process(url, tmp_path) as models:
        first = await ask_once(models, calls)
        assert all(isinstance(each, AnswersPending) for each in first)
        batched = await answered(models, calls)
        assert model.calls == 0
        assert model.batches.submissions == 1
        direct = await answered(models, [question(model, n, provider, deadline=None) for n in range(31)], run="run_2")
    assert model.calls == 1  # the one that was not in the batch
    assert paid_once(model, 30) or model.answered == 31
    assert [each.answer.text for each in direct[:30]] == [each.answer.text for each in batched]
    full = Prices().of(question(model, 0, provider, deadline=None), batched[0].answer).usd
    assert batched[0].spent.cost == pytest.approx(full / 2) and full > 0
    assert direct[0].spent.cost == 0 and direct[30].spent.cost > full / 2


async def test_answers_of_a_direct_run_are_in_no_batch(model, url, tmp_path):
    async with process(url, tmp_path) as models:
        await answered(models, [question(model, number, deadline=None) for number in range(5)])
        await answered(models, [question(model, number) for number in range(5)], run="run_2")
    assert model.calls == 5
    assert model.batches.submissions == 0


@pytest.mark.parametrize(
    ("provider", "step"),
    [
        *(("openai", step) for step in STEPS),
        *((provider, step) for provider in PROVIDERS[1:] for step in STEPS if "submission" in step),
    ],
)
async def test_a_process_that_ends_at_any_step_pays_for_nothing_twice(model, url, tmp_path, provider, step):
    calls = [question(model, number, provider) for number in range(12)]
    failpoints.arm("test", f"test:{step}:1:raise")
    async with process(url, tmp_path) as models:
        await ask_once(models, calls)
        owner = await models.execution._opened()
        await reached(step)
        models.execution._owning.cancel()
        assert owner is not None
    failpoints.disarm()
    async with process(url, tmp_path) as models:
        await answered(models, calls)
    assert paid_once(model, 12)
    assert model.batches.submissions == 1


async def reached(step: str) -> None:
    """Wait until work has failed at the step."""
    async with within(5):
        while not failpoints._armed[step].reached:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("provider", "faults", "submissions"),
    [
        *((provider, ["lost_response"], 1) for provider in PROVIDERS),  # it was accepted, and its name never arrived
        ("openai", ["never_arrives"], 1),
        ("anthropic", ["never_arrives"], 1),
        ("openai", ["429"], 1),
        ("anthropic", ["500"], 1),
        ("openai", ["413", "413"], 4),
        ("openai", ["cut"], 1),
        ("anthropic", ["cut"], 1),
        ("openai", ["bad_lines"], 1),
        ("google", ["missing"], 2),
        *((provider, ["errors"], 2) for provider in PROVIDERS),
        *((provider, ["expire"], 2) for provider in PROVIDERS),
    ],
)
async def test_what_a_provider_does_to_a_batch_costs_no_answer(
    model, url, tmp_path, monkeypatch, provider, faults, submissions
):
    monkeypatch.setattr("loom_ai.batches.submission._WAIT_SECONDS", 0.1)
    model.batches.faults.extend(faults)
    calls = [question(model, number, provider) for number in range(12)]
    async with process(url, tmp_path) as models:
        await answered(models, calls)
    assert paid_once(model, 12)
    assert model.batches.submissions == submissions
    assert model.calls == 0


@pytest.mark.parametrize("provider", ["openai", "google"])
async def test_where_too_much_is_queued_smaller_batches_follow_later(model, url, tmp_path, monkeypatch, provider):
    monkeypatch.setattr("loom_ai.batches.submission._WAIT_SECONDS", 0.1)
    model.batches.faults.append("too_much")
    async with process(url, tmp_path) as models:
        await answered(models, [question(model, number, provider) for number in range(12)])
    assert paid_once(model, 12)
    assert model.batches.submissions == 3


async def test_many_requests_are_split_by_the_limit_of_the_provider_and_each_is_paid_for_once(
    model, url, tmp_path, monkeypatch
):
    monkeypatch.setattr(OpenAiBatches, "limits", Limits(requests=20, size=OpenAiBatches.limits.size))
    monkeypatch.setitem(model.batches.most_requests, ChatCompletions, 20)
    async with process(url, tmp_path) as models:
        await answered(models, [question(model, number) for number in range(70)])
    assert paid_once(model, 70)
    assert model.calls == 0
    sizes = [len(each.requests) for each in model.batches.batches.values()]
    assert sum(sizes) == 70
    assert sizes[:3] == [20, 20, 20]
    assert max(sizes) == 20


@EACH_PROVIDER
async def test_a_batch_with_more_bytes_than_the_provider_takes_is_divided(model, url, tmp_path, monkeypatch, provider):
    limits = dict.fromkeys(model.batches.most_bytes, 2 * 1024)
    monkeypatch.setattr(model.batches, "most_bytes", limits)
    async with process(url, tmp_path) as models:
        await answered(models, [question(model, number, provider) for number in range(16)])
    assert paid_once(model, 16)
    assert model.calls == 0
    assert model.batches.submissions > 1
    assert 0 < model.batches.largest <= 2 * 1024


@EACH_PROVIDER
async def test_what_a_batch_refuses_is_asked_directly_which_says_why(model, url, tmp_path, provider):
    model.batches.faults.append("refusals")
    async with process(url, tmp_path) as models:
        await answered(models, [question(model, number, provider) for number in range(6)])
    assert model.batches.paid.total() == 3
    assert model.calls == 3


async def test_a_form_that_a_batch_refuses_is_learned_from(model, url, tmp_path):
    model.forms = ("json_object",)
    schema = {"type": "object", "properties": {"mood": {"type": "string"}}, "required": ["mood"]}
    async with process(url, tmp_path) as models:
        await answered(models, [question(model, number, schema=schema) for number in range(6)])
    assert paid_once(model, 6)
    assert (model.calls, model.batches.submissions) == (0, 2)
