from __future__ import annotations

import asyncio
import json

import pytest

from loom_ai.budget.ledger import Reserve, Settle
from loom_ai.budget.prices import Prices
from loom_ai.budget.reservations import BudgetReservations
from loom_ai.journal.models import JournalledModels
from loom_ai.pacing.token_bounds import MOST_ANSWERED
from loom_ai.ports import NOTED, Payer
from loom_ai.stores.memory.budgets import MemoryBudgets
from loom_ai.stores.memory.journal import MemoryJournal
from loom_common.domain.model_options.pricing import ModelPrice
from loom_common.domain.run.budget import Budget, Need
from loom_common.errors import BudgetExhausted, DependencyUnavailable, PermanentError
from loom_common.worker.usage import Usage
from support.scripted_model import ScriptedModel, answer_of, call_of, settle

DOLLAR_A_TOKEN = {"gpt-4o-mini": ModelPrice(input=0.0, output=1_000_000.0)}
"""Makes a call cost as many dollars as its answer has tokens, and `max_tokens` its worst case."""


class Plant:
    """Asks models under a budget. Every answer costs `cost` dollars, and at most its limit; at worst it costs
    `longest`."""

    def __init__(self, limit: float, cost: int = 2, ledger: MemoryBudgets | None = None, longest: int = 10) -> None:
        self.cost = cost
        self.model = ScriptedModel(self.said)
        self.ledger = ledger or MemoryBudgets()
        self.journal = MemoryJournal()
        self.prices, self.longest = DOLLAR_A_TOKEN, longest
        self.budget = Budget(limit=limit)
        self.models = self.process()

    def process(self) -> JournalledModels:
        prices = Prices()
        return JournalledModels(
            self.model, self.journal, prices, reservations=BudgetReservations(self.ledger, prices), concurrency=100
        )

    def said(self, call):
        cut_off = call.max_tokens is not None and self.cost > call.max_tokens
        tokens = call.max_tokens if cut_off else self.cost
        return answer_of(call.messages[-1].content, "length" if cut_off else "stop", tokens_out=tokens, tokens_in=0)

    @property
    def paid(self) -> int:
        """Return what the provider would charge."""
        return sum(min(self.cost, call.max_tokens or self.cost) for call in self.model.calls)

    async def ask(self, number: int, run: str = "run", budget: Budget | None = None, **changes) -> Usage:
        usage = self.usage(budget)
        call = call_of(f"question {number}", **{"max_tokens": self.longest, **changes})
        usage.answer = (await self.models.complete(call, Payer(run, str(number), usage))).answer
        return usage

    def usage(self, budget: Budget | None = None) -> Usage:
        """Return a new usage under the run's budget, at the prices of the pipeline."""
        usage = Usage(budget or self.budget)
        usage.prices = self.prices
        return usage


async def test_calls_are_made_as_long_as_their_worst_case_fits():
    plant = Plant(limit=21)
    for number in range(10):
        await plant.ask(number)
    with pytest.raises(BudgetExhausted, match=r"\$20.000000 of the budget of \$21.000000 is spent"):
        await plant.ask(10)
    assert len(plant.model.calls) == 10
    assert plant.model.calls[-1].max_tokens == 3  # the last one had what was left


async def test_a_budget_far_below_the_worst_case_of_a_call_bears_its_true_cost_in_parallel():
    plant = Plant(limit=2_000, longest=30_000)
    await plant.ask(0)
    plant.model.may_answer.clear()
    asking = [asyncio.create_task(plant.ask(number)) for number in range(1, 25)]
    await settle(lambda: len(plant.model.calls) == 25)  # all of them at once
    plant.model.may_answer.set()
    await asyncio.gather(*asking)
    assert plant.paid == 50


async def test_before_an_answer_was_seen_few_calls_are_made_with_a_lowered_limit():
    plant = Plant(limit=100_000, longest=30_000)
    plant.model.may_answer.clear()
    asking = [asyncio.create_task(plant.ask(number)) for number in range(40)]
    await settle(lambda: len(plant.model.calls) == 8)
    for _ in range(100):
        await asyncio.sleep(0)
    assert len(plant.model.calls) == 8
    plant.model.may_answer.set()
    await asyncio.gather(*asking)
    assert len(plant.model.calls) == 40


async def test_an_answer_that_a_lowered_limit_cut_off_is_no_answer_and_is_asked_for_again_with_more():
    plant = Plant(limit=10_000, cost=3_000, longest=5_000)
    used = await plant.ask(1)
    assert [call.max_tokens for call in plant.model.calls] == [1024, 5_000]
    assert (used.answer.finish_reason, used.answer.tokens_out) == ("stop", 3_000)
    assert (used.lines()[0].made, used.lines()[0].cost) == (2, pytest.approx(4_024))
    await plant.models.complete(call_of("question 1", max_tokens=5_000), Payer("other", "1"))
    assert len(plant.model.calls) == 2  # the whole answer stands under the question's own key


async def test_what_was_cut_off_is_not_paid_again_when_the_run_goes_on_with_more():
    plant = Plant(limit=2_500, cost=3_000, longest=5_000)
    with pytest.raises(BudgetExhausted):
        await plant.ask(1)
    plant.models = plant.process()  # as after a crash
    used = await plant.ask(1, budget=Budget(limit=10_000))
    assert [call.max_tokens for call in plant.model.calls] == [1024, 5_000]
    assert used.lines()[0].cost == pytest.approx(4_024)
    assert plant.paid == 4_024


@pytest.mark.parametrize("left", [9, 21])
async def test_a_run_that_is_resumed_in_another_process_still_knows_how_long_its_answers_are(left):
    """Ask nine questions, whose answers cost $2 each, of another process with just as much as `left` bears."""
    plant = Plant(limit=100_000, longest=30_000)
    for number in range(9):
        await plant.ask(number)
    plant.models = plant.process()  # as `loom resume` does
    enough = Budget(limit=18 + left)
    for number in range(9, 9 + left // 2):
        await plant.ask(number, budget=enough)
    with pytest.raises(BudgetExhausted):
        await plant.ask(99, budget=enough)
    assert plant.paid == 18 + left - 1


async def test_what_a_run_learned_of_its_answers_holds_no_word_of_a_question():
    plant = Plant(limit=100_000, longest=30_000)
    await plant.ask(1, schema={"type": "object"})
    noted = [entry for entry in plant.journal._entries.values() if entry.purpose == NOTED]
    assert [json.loads(entry.answer.text)["answers"] for entry in noted] == [[2]]
    assert "question" not in noted[0].answer.text


async def test_learning_from_an_answer_that_the_journal_could_not_be_told_of_keeps_the_answer():
    plant = Plant(limit=100_000, longest=30_000)
    put = plant.journal.put_many

    async def full(entries):
        if any(entry.purpose == NOTED for entry in entries):
            raise DependencyUnavailable("The journal is away.")
        await put(entries)

    plant.journal.put_many = full
    assert (await plant.ask(1)).answer.tokens_out == 2


async def test_an_answer_that_the_pipelines_own_limit_cuts_off_is_one():
    plant = Plant(limit=100_000, cost=50, longest=10)
    assert (await plant.ask(1)).answer.finish_reason == "length"
    await plant.ask(1)
    assert len(plant.model.calls) == 1


async def test_without_a_limit_of_its_own_a_call_that_is_cut_off_keeps_no_key_from_a_run_without_a_budget():
    plant = Plant(limit=100_000_000, cost=9_000)
    for _ in range(2):
        assert (await plant.ask(1, max_tokens=None)).answer.finish_reason == "length"
    assert [call.max_tokens for call in plant.model.calls] == [MOST_ANSWERED]
    whole = await plant.models.complete(call_of("question 1"), Payer("other", "1"))
    assert (whole.answer.finish_reason, plant.model.calls[-1].max_tokens) == ("stop", None)


async def test_a_question_is_reserved_for_by_the_tokens_that_were_counted():
    plant = Plant(limit=1.2)
    plant.prices = {"gpt-4o-mini": ModelPrice(input=100.0, output=0.0)}  # USD for a million tokens
    text = "All of these words are the same in every question. " * 100  # 5,100 bytes, at worst 0.5 USD
    plant.model._script = [lambda call: answer_of(tokens_in=1_250, tokens_out=1)]
    for number in range(9):  # 0.125 USD each
        await plant.models.complete(call_of(f"{text}{number}"), Payer("run", str(number), plant.usage()))
    with pytest.raises(BudgetExhausted):
        await plant.models.complete(call_of(f"{text}{9}"), Payer("run", "9", plant.usage()))


async def test_a_run_that_was_given_more_does_not_fail_with_what_waited_on_its_old_budget():
    plant = Plant(limit=10, cost=10)
    other = plant.ledger.sibling()  # a replica that died, whose reservation stands until its lease ends
    await other.exchange([Reserve("dead", "run", Need(9, 9, 9), 10, 0)])
    before = asyncio.create_task(plant.ask(1))
    for _ in range(50):
        await asyncio.sleep(0)
    assert not plant.model.calls
    after = asyncio.create_task(plant.ask(1, budget=Budget(limit=1000)))
    await asyncio.gather(before, after)
    assert len(plant.model.calls) == 1


async def test_a_call_that_is_given_up_before_it_was_sent_gives_back_what_was_reserved():
    plant = Plant(limit=10, cost=10)
    turn = asyncio.Event()

    async def waits_for_its_turn(call, waits):
        async with waits.for_a_turn():
            await turn.wait()

    plant.model.complete = waits_for_its_turn
    asking = asyncio.create_task(plant.ask(1))
    await settle(lambda: bool(plant.ledger._reservations))
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await settle(lambda: not plant.ledger._reservations)


async def test_a_question_of_two_runs_is_not_refused_to_one_for_want_of_the_others_money():
    plant = Plant(limit=10, cost=10)
    await plant.ledger.sibling().exchange([Reserve("spent", "poor", Need(9, 9, 9), 10, 0)])
    poor = asyncio.create_task(plant.ask(1, run="poor"))
    for _ in range(50):
        await asyncio.sleep(0)
    rich = asyncio.create_task(plant.ask(1, run="rich", budget=Budget(limit=1000)))
    await plant.ledger.exchange([Settle("spent", "poor", 9, 9)])
    assert isinstance((await asyncio.gather(poor, return_exceptions=True))[0], BudgetExhausted)
    assert (await rich).answer.tokens_out == 10


async def test_calls_that_would_fit_if_others_cost_less_wait_for_them():
    plant = Plant(limit=20)
    plant.model.may_answer.clear()
    asking = [asyncio.create_task(plant.ask(number)) for number in range(6)]
    await settle(lambda: len(plant.model.calls) == 2)
    for _ in range(50):
        await asyncio.sleep(0)
    assert len(plant.model.calls) == 2  # two worst cases fill the budget
    plant.model.may_answer.set()
    await asyncio.gather(*asking)
    assert len(plant.model.calls) == 6


async def test_two_replicas_never_pass_the_budget_together():
    one = Plant(limit=31, cost=10)
    other = Plant(limit=31, cost=10, ledger=one.ledger.sibling())
    asked = await asyncio.gather(
        *(plant.ask(number) for number in range(10) for plant in (one, other)), return_exceptions=True
    )
    assert len(one.model.calls) + len(other.model.calls) == 3
    assert sum(isinstance(each, BudgetExhausted) for each in asked) == 17


async def test_an_answer_that_is_known_costs_nothing_of_the_budget():
    plant = Plant(limit=10, cost=10)
    await plant.ask(1)
    assert (await plant.ask(1)).lines()[0].made == 1  # its own, met again
    assert len(plant.model.calls) == 1


async def test_a_call_that_fails_gives_back_what_was_reserved():
    plant = Plant(limit=10)
    plant.model._script = [DependencyUnavailable("away"), plant.said]
    with pytest.raises(DependencyUnavailable):
        await plant.ask(1)
    await plant.ask(1)
    assert len(plant.model.calls) == 2


async def test_under_a_budget_a_model_without_a_price_is_not_asked():
    plant = Plant(limit=10)
    with pytest.raises(PermanentError, match=r"prices: \{my-own: \{input"):
        await plant.models.complete(call_of(model="my-own"), Payer("run", "1", Usage(plant.budget)))
    assert plant.model.calls == []


async def test_under_a_budget_an_answer_has_a_limit_and_the_question_keeps_its_key():
    plant = Plant(limit=100_000)
    call = call_of("the question")
    await plant.models.complete(call, Payer("run", "1", Usage(plant.budget)))
    assert plant.model.calls[0].max_tokens == MOST_ANSWERED
    await plant.models.complete(call, Payer("run", "1"))  # the same question, without a budget
    assert len(plant.model.calls) == 1


async def test_a_call_whose_asker_is_gone_stands_on_its_bill():
    plant = Plant(limit=100)
    plant.model.may_answer.clear()
    usage = Usage(plant.budget)
    usage.prices = DOLLAR_A_TOKEN
    asking = asyncio.create_task(plant.models.complete(call_of("q", max_tokens=10), Payer("run", "1", usage)))
    await settle(lambda: bool(plant.model.calls))
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert usage.lines() == ()
    plant.model.may_answer.set()
    await usage.settled(5)
    assert (usage.lines()[0].made, usage.lines()[0].cost) == (1, pytest.approx(2.0))
