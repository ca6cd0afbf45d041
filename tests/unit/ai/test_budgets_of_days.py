"""Tests that a call fits into the budget of its window and into that of the day of its stream, or is not made."""

from __future__ import annotations

import asyncio
import datetime as dt

import pytest

from loom_ai.budget.prices import Prices
from loom_ai.budget.reservations import BudgetReservations
from loom_ai.journal.models import JournalledModels
from loom_ai.ports import Payer
from loom_ai.stores.memory.budgets import MemoryBudgets
from loom_ai.stores.memory.journal import MemoryJournal
from loom_common.domain.model_options.pricing import ModelPrice
from loom_common.domain.run.budget import Budget, DayBudget
from loom_common.errors import BudgetExhausted
from loom_common.worker.usage import Usage
from support.scripted_model import ScriptedModel, answer_of, call_of

NOON = dt.datetime(2026, 11, 27, 12, tzinfo=dt.UTC)
MIDNIGHT = dt.datetime(2026, 11, 28, tzinfo=dt.UTC)


class Today:
    """Tells the time that a test says it is."""

    def __init__(self) -> None:
        self.moment = NOON

    def now(self) -> dt.datetime:
        return self.moment


class Plant:
    """Asks a model whose answers cost two dollars, and ten at worst."""

    def __init__(self) -> None:
        self.model = ScriptedModel(lambda call: answer_of("yes", "stop", tokens_out=2, tokens_in=0))
        self.ledger = MemoryBudgets()
        self.today = Today()
        reservations = BudgetReservations(self.ledger, Prices(), self.today)  # type: ignore[arg-type]
        self.models = JournalledModels(self.model, MemoryJournal(), Prices(), reservations=reservations)

    async def ask(self, question: str, budget: Budget, run: str = "window-1") -> None:
        usage = Usage(budget)
        usage.prices = {"gpt-4o-mini": ModelPrice(input=0.0, output=1_000_000.0)}
        await self.models.complete(call_of(question, max_tokens=10), Payer(run, question, usage))

    async def ask_until_spent(self, budget: Budget, run: str, most: int = 20) -> BudgetExhausted:
        """Ask one question after another until one is refused."""
        for number in range(most):
            try:
                await self.ask(f"{run} {self.today.moment} {number}", budget, run)
            except BudgetExhausted as spent:
                return spent
        raise AssertionError("all were answered")


def of_day(usd: float, run: float | None = None, **more: str) -> Budget:
    return Budget(limit=run, day=DayBudget(stream="stream_1", limit=usd, **more))


async def test_all_windows_of_a_day_spend_from_one_budget_and_the_next_day_has_another_one():
    plant = Plant()
    first = await plant.ask_until_spent(of_day(20), "window-1")
    assert (first.account, first.limit, first.until) == ("stream_1:2026-11-27", 20, MIDNIGHT)
    asked = len(plant.model.calls)
    assert 2 * asked <= 20
    with pytest.raises(BudgetExhausted):
        await plant.ask("of another window", of_day(20), "window-2")
    assert len(plant.model.calls) == asked
    plant.today.moment = MIDNIGHT
    await plant.ask("of another window", of_day(20), "window-2")
    second = await plant.ask_until_spent(of_day(20), "window-2")
    assert second.account == "stream_1:2026-11-28"
    assert 2 * (len(plant.model.calls) - asked) <= 20


async def test_a_call_that_one_of_both_budgets_does_not_bear_leaves_nothing_reserved_in_the_other_one():
    plant = Plant()
    poor = await plant.ask_until_spent(of_day(1000, run=20), "window-1")
    assert (poor.account, poor.until) == ("window-1", None)
    spent = await plant.ask_until_spent(of_day(40, run=1000), "window-2")
    assert spent.account == "stream_1:2026-11-27"
    assert not plant.ledger._reservations
    states = {name: state.spent for name, state in plant.ledger._standings.items()}
    assert states["stream_1:2026-11-27"] == states["window-1"] + states["window-2"] == 2 * len(plant.model.calls)


async def test_many_calls_at_once_never_pass_the_budget_of_the_day():
    plant = Plant()
    asked = [plant.ask(f"{number}", of_day(40, run=500), f"window-{number % 3}") for number in range(100)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert {type(each) for each in answers} == {type(None), BudgetExhausted}
    assert 30 < 2 * len(plant.model.calls) <= 40
    assert not plant.ledger._reservations


@pytest.mark.parametrize(
    ("zone", "now", "day", "until"),
    [
        ("UTC", "2026-11-27T23:59:59+00:00", "2026-11-27", "2026-11-28T00:00:00+00:00"),
        ("Europe/Berlin", "2026-11-27T23:30:00+00:00", "2026-11-28", "2026-11-28T23:00:00+00:00"),
        ("Europe/Berlin", "2026-03-28T23:30:00+00:00", "2026-03-29", "2026-03-29T22:00:00+00:00"),  # it has 23 hours
        ("Asia/Tokyo", "2026-11-27T15:00:00+00:00", "2026-11-28", "2026-11-28T15:00:00+00:00"),
    ],
)
def test_a_day_begins_at_midnight_where_the_pipeline_says(zone, now, day, until):
    account = DayBudget(stream="s", limit=1, timezone=zone).account(dt.datetime.fromisoformat(now))
    assert (account.name, account.until) == (f"s:{day}", dt.datetime.fromisoformat(until))


def test_a_budget_has_the_account_of_the_day_with_its_own_limit_alone():
    budget = Budget(limit=5.0, day=DayBudget(stream="s", limit=20.0))
    assert budget.has("s:2026-11-27", 20.0, "window-1")
    assert not budget.has("s:2026-11-27", 10.0, "window-1")  # what it was before it was raised
    assert not budget.has("other:2026-11-27", 20.0, "window-1")
    assert budget.has("window-1", 5.0, "window-1")
    assert not budget.has("window-2", 5.0, "window-1")


@pytest.mark.parametrize(
    ("limit", "of_day", "more"),
    [
        (5.0, 20.0, False),
        (6.0, 20.0, True),
        (5.0, 21.0, True),
        (6.0, 19.0, True),
        (None, 20.0, True),
        (4.0, 19.0, False),
    ],
)
def test_a_budget_covers_more_where_one_of_its_limits_is_higher(limit, of_day, more):
    before = Budget(limit=5.0, day=DayBudget(stream="s", limit=20.0))
    assert Budget(limit=limit, day=DayBudget(stream="s", limit=of_day)).covers_more(before) == more
