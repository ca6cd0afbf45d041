"""Has batches end in other ways than by their answers: late, cancelled, refused, or beyond a budget."""

from __future__ import annotations

import asyncio
from unittest.mock import AsyncMock

import pytest

from loom_ai.budget.prices import Prices
from loom_ai.ports import ModelAnswer
from loom_common.contracts.v1 import RunEpoch
from loom_common.domain.run.budget import Budget
from loom_common.errors import BudgetExhausted, DependencyUnavailable, PermanentError
from loom_common.worker.usage import Usage
from loom_dev.waiting import within
from support.batches import PROVIDERS, RUN, answered, ask_once, paid_once, process, question
from support.simulated_model import SimulatedModel

EACH_PROVIDER = pytest.mark.parametrize("provider", PROVIDERS)


@EACH_PROVIDER
async def test_after_the_deadline_the_rest_is_asked_directly(model, url, tmp_path, provider):
    model.batches.seconds = 3600.0
    calls = [question(model, number, provider, deadline=0.4) for number in range(8)]
    async with process(url, tmp_path) as models:
        brought = await answered(models, calls)
    assert model.calls == 8
    assert all(each.cancelled for each in model.batches.batches.values())
    full = Prices().of(question(model, 0, provider, deadline=None), brought[0].answer).usd
    assert brought[0].spent.cost == pytest.approx(full)


async def test_partial_results_of_a_cancelled_batch_are_kept(model, url, tmp_path):
    model.batches.seconds = 20.0
    calls = [question(model, number, deadline=2.0) for number in range(20)]
    async with process(url, tmp_path) as models:
        await answered(models, calls)
    kept = model.batches.paid.total()
    assert 0 < kept < 20
    assert model.calls == 20 - kept
    assert model.answered == 20


async def test_another_key_of_the_same_project_goes_on(model, url, tmp_path, monkeypatch):
    model.batches.seconds, model.api_key = 0.5, "second"
    monkeypatch.setenv("FIRST_KEY", "first")
    calls = [question(model, number, api_key="${FIRST_KEY}") for number in range(4)]
    async with process(url, tmp_path) as models:
        await ask_once(models, calls)
        await submitted(model)
    monkeypatch.setenv("FIRST_KEY", "second")
    async with process(url, tmp_path) as models:
        await answered(models, calls)
    assert paid_once(model, 4)


async def test_a_batch_that_the_key_cannot_see_is_told_and_after_the_deadline_it_is_asked_again_only_by_a_resume(
    model, url, tmp_path, monkeypatch
):
    model.batches.seconds, model.batches.projects = 0.3, True
    monkeypatch.setenv("A_KEY", "first")
    calls = [question(model, number, api_key="${A_KEY}", deadline=6.0) for number in range(4)]
    async with process(url, tmp_path) as models:
        await ask_once(models, calls)
        await submitted(model)
    monkeypatch.setenv("A_KEY", "second")
    async with process(url, tmp_path) as models:
        told = await until_told(models, calls, "does not show the batch")
        assert "${A_KEY}" in told and "second" not in told
        with pytest.raises(PermanentError, match="perhaps paid for, a second time, resume the run"):
            await answered(models, calls)
        assert (model.calls, model.batches.submissions) == (0, 1)
        await answered(models, calls)
    assert (model.calls, model.batches.submissions) == (0, 2)


async def test_a_provider_that_does_not_take_a_batch_ends_the_run_and_a_resumed_one_goes_on(model, url, tmp_path):
    model.batches.faults.append("fail")
    calls = [question(model, number) for number in range(4)]
    async with process(url, tmp_path) as models:
        with pytest.raises(PermanentError, match="did not begin the batch"):
            await answered(models, calls)
        await answered(models, calls)
    assert paid_once(model, 4)


async def test_a_budget_reserves_the_price_of_a_batch_and_is_settled(model, url, tmp_path):
    calls = [question(model, number, max_tokens=1000) for number in range(10)]
    one = Prices().of(calls[0], answer_of_length(1000)).usd
    usage = Usage(Budget(limit=11 * one))
    async with process(url, tmp_path) as models:
        brought = await answered(models, calls, usage)
        assert sum(each.spent.cost for each in brought) < 2 * one
    assert paid_once(model, 10)
    poor = Usage(Budget(limit=sum(each.spent.cost for each in brought) + one / 100))
    async with process(url, tmp_path) as models:
        with pytest.raises(BudgetExhausted):
            await answered(models, [question(model, 99, max_tokens=1000)], poor)


async def test_a_budget_that_bears_short_answers_alone_gets_whole_answers_all_the_same(model, url, tmp_path):
    model.tokens_per_answer = 60
    calls = [question(model, number, max_tokens=100_000) for number in range(12)]
    usage = Usage(Budget(limit=0.02))
    async with process(url, tmp_path) as models:
        brought = await answered(models, calls, usage, seconds=20)
    assert all(each.answer.finish_reason == "stop" for each in brought)


async def test_two_processes_pay_for_nothing_twice_and_both_find_the_answers(model, url, tmp_path):
    model.batches.seconds = 0.3
    calls = [question(model, number) for number in range(10)]
    async with process(url, tmp_path) as one, process(url, tmp_path) as other:
        await asyncio.gather(ask_once(one, calls[:5]), ask_once(other, calls))
        await asyncio.gather(answered(one, calls), answered(other, calls))
    assert paid_once(model, 10)


async def test_the_batch_of_a_cancelled_run_is_cancelled_and_its_answers_are_kept(model, url, tmp_path):
    model.batches.seconds = 30.0
    calls = [question(model, number) for number in range(10)]
    async with process(url, tmp_path) as models:
        await ask_once(models, calls)
        await submitted(model)
        await models.execution.hear(RunEpoch(run_id=RUN, epoch=2, cancelled=True))
    assert all(each.cancelled for each in model.batches.batches.values())
    model.batches.seconds = 0.0
    async with process(url, tmp_path) as models:
        await models.execution.hear(RunEpoch(run_id=RUN, epoch=3))
        await answered(models, calls, Usage(epoch=3))
    assert paid_once(model, 10)


async def test_a_cancellation_counts_that_could_not_be_stored_at_first(model, url, tmp_path, monkeypatch):
    model.batches.seconds = 30.0
    async with process(url, tmp_path) as models:
        await ask_once(models, [question(model, number) for number in range(4)])
        await submitted(model)
        store, said = models.execution._store, RunEpoch(run_id=RUN, epoch=2, cancelled=True)
        with monkeypatch.context() as away:
            away.setattr(store, "heard", AsyncMock(side_effect=DependencyUnavailable("The database is away.")))
            await models.execution.hear(said)
        assert not any(each.cancelled for each in model.batches.batches.values())
        await models.execution.hear(said)
    assert all(each.cancelled for each in model.batches.batches.values())


async def submitted(model: SimulatedModel) -> None:
    """Wait until a batch is at the provider, and its name is stored."""
    async with within(5):
        while not model.batches.polls:
            await asyncio.sleep(0.01)


async def until_told(models, calls, words: str) -> str:
    """Wait until the run is told so."""
    async with within(5):
        while True:
            models.execution._told.clear()
            (first, *_) = await ask_once(models, calls)
            if words in str(first):
                return str(first)
            await asyncio.sleep(0.02)


def answer_of_length(tokens: int) -> ModelAnswer:
    return ModelAnswer("", "stop", "gpt-4o-mini", 20, 0, tokens, 0.0)
