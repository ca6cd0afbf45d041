from __future__ import annotations

import asyncio

import pytest

from loom_ai.counting import MOST_ANSWERED, about, most
from loom_ai.journal import JournalledModels
from loom_ai.ports import Payer
from loom_ai.prices import Prices
from loom_ai.purse import Purse
from loom_ai.stores.memory import MemoryJournal
from loom_ai.stores.memory_budgets import MemoryBudgets
from loom_common import bills
from loom_common.domain.budget import Budget
from loom_common.domain.pricing import ModelPrice
from loom_common.errors import BudgetExhausted, DependencyUnavailable, PermanentError
from support.scripted_model import ScriptedModel, answer_of, call_of, settle

DOLLAR_A_TOKEN = {"gpt-4o-mini": ModelPrice(input=0.0, output=1_000_000.0)}
"""So that a call costs as many dollars as its answer has tokens, and `max_tokens` is its worst case."""


class Plant:
    """Models under a budget. Every answer costs `cost` dollars; at worst it costs 10."""

    def __init__(self, limit: float, cost: int = 2, ledger: MemoryBudgets | None = None) -> None:
        self.model = ScriptedModel(answer_of(tokens_out=cost))
        self.ledger = ledger or MemoryBudgets()
        prices = Prices()
        self.models = JournalledModels(
            self.model, MemoryJournal(), prices, purse=Purse(self.ledger, prices), concurrency=100
        )
        self.budget = Budget(limit=limit)

    async def ask(self, number: int, prices=DOLLAR_A_TOKEN) -> bills.Bill:
        with bills.opened(self.budget) as bill:
            bills.priced(prices)
            await self.models.complete(call_of(f"question {number}", max_tokens=10), Payer("run", str(number)))
        return bill


async def test_calls_are_made_as_long_as_their_worst_case_fits():
    plant = Plant(limit=20)
    for number in range(6):  # five times 2 dollars, and 10 more at worst
        await plant.ask(number)
    with pytest.raises(BudgetExhausted, match=r"\$12.000000 of the budget of \$20.000000 is spent"):
        await plant.ask(6)
    assert len(plant.model.calls) == 6


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
    plant.model._script = [DependencyUnavailable("away"), answer_of(tokens_out=2)]
    with pytest.raises(DependencyUnavailable):
        await plant.ask(1)
    await plant.ask(1)
    assert len(plant.model.calls) == 2


async def test_under_a_budget_a_model_without_a_price_is_not_asked():
    plant = Plant(limit=10)
    with bills.opened(plant.budget), pytest.raises(PermanentError, match=r"prices: \{my-own: \{input"):
        await plant.models.complete(call_of(model="my-own"), Payer("run", "1"))
    assert plant.model.calls == []


async def test_under_a_budget_an_answer_has_a_limit_and_the_question_keeps_its_key():
    plant = Plant(limit=100_000)
    call = call_of("the question")
    with bills.opened(plant.budget):
        await plant.models.complete(call, Payer("run", "1"))
    assert plant.model.calls[0].max_tokens == MOST_ANSWERED
    await plant.models.complete(call, Payer("run", "1"))  # the same question, without a budget
    assert len(plant.model.calls) == 1


async def test_a_call_whose_asker_is_gone_stands_on_its_bill():
    plant = Plant(limit=100)
    plant.model.may_answer.clear()
    with bills.opened(plant.budget) as bill:
        bills.priced(DOLLAR_A_TOKEN)
        asking = asyncio.create_task(plant.models.complete(call_of("q", max_tokens=10), Payer("run", "1")))
        await settle(lambda: bool(plant.model.calls))
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert bill.lines() == ()
    plant.model.may_answer.set()
    await bill.settled(5)
    assert (bill.lines()[0].made, bill.lines()[0].cost) == (1, pytest.approx(2.0))


@pytest.mark.parametrize(
    "text", ["plain English words", "Größe, naïve, déjà vu", "日本語のテキスト", '{"a": [1, 2, 3]}', ""]
)
def test_a_question_has_at_most_as_many_tokens_as_bytes(text):
    assert most(call_of(text)) >= len(text.encode())
    assert about(text) <= most(call_of(text))
