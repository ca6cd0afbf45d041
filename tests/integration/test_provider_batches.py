"""Has questions answered by the batches of providers: each is paid for once, whatever happens on the way."""

from __future__ import annotations

import asyncio
from unittest.mock import AsyncMock

import pytest

from loom_ai.batches.protocols.openai import OpenAiBatches
from loom_ai.batches.requests.values import Limits
from loom_ai.budget.prices import Prices
from loom_ai.ports import ModelAnswer
from loom_ai.simulated.formats import ChatCompletions
from loom_common.contracts.v1 import RunEpoch
from loom_common.domain.run.budget import Budget
from loom_common.errors import AnswersPending, BudgetExhausted, DependencyUnavailable, PermanentError
from loom_common.resilience import failpoints
from loom_common.worker.usage import Usage
from loom_dev.waiting import within
from support.batches import PROVIDERS, RUN, answered, ask_once, process, question, quick
from support.journal_tables import create_tables
from support.simulated_model import SimulatedModel

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


@pytest.fixture
async def model():
    async with SimulatedModel() as server:
        yield server


@pytest.fixture
async def url(tmp_path):
    url = f"sqlite:///{tmp_path}/journal.db"
    await create_tables(url)
    yield url


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    quick(monkeypatch)
    yield
    failpoints.disarm()


def paid_once(model: SimulatedModel, count: int) -> bool:
    return len(model.batches.paid) == count and set(model.batches.paid.values()) == {1} and model.answered == count


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
