"""What a worker's message takes in model calls, kept while its handler works: on whose account, in which budget.

A handler need not know: whoever makes a call for the message in hand enters it here, and the stage's fact takes the
bill along, whether the batch went through, failed, or was given up."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from loom_common.domain.model_options.pricing import ModelPrice
from loom_common.domain.run.budget import Budget
from loom_common.domain.run.calls import Calls, summed
from loom_common.errors import BudgetExhausted


class Usage:
    """The calls of one message. Each answer of a record counts once, however often it is asked for."""

    def __init__(self, budget: Budget | None = None) -> None:
        self.budget = budget
        """What the run may spend; None for no limit."""
        self.prices: Mapping[str, ModelPrice] = {}
        """What the pipeline says models cost, before any price list."""
        self.exhausted: BudgetExhausted | None = None
        """Set where a call was not made for want of money: whatever the handler made of that, the batch is not done."""
        self.under_way: set[asyncio.Task[object]] = set()
        """Calls begun for this message. They go on where the handler was cancelled, and what they cost counts."""
        self._entries: dict[tuple[str, str], Calls] = {}

    def has(self, key: str, record_id: str, *, paid: bool) -> bool:
        """Whether an answer is entered, as paid for or as reused."""
        entered = self._entries.get((key, record_id))
        return entered is not None and bool(entered.made) is paid

    def enter(self, key: str, record_id: str, calls: Calls) -> None:
        """Count an answer: `key` is the journal's."""
        self._entries[(key, record_id)] = calls

    def lines(self) -> tuple[Calls, ...]:
        """Everything so far, one entry per purpose, provider and model."""
        return summed(self._entries.values())

    async def settled(self, seconds: float) -> None:
        """Wait for the calls under way, at most so long."""
        if self.under_way:
            await asyncio.wait(self.under_way, timeout=seconds)


current: ContextVar[Usage | None] = ContextVar("loom_bill", default=None)
"""Set by the worker for the time of a handler, and for all tasks that are begun in it."""


@contextmanager
def opened(budget: Budget | None = None) -> Iterator[Usage]:
    """A bill for what is done within the block."""
    bill = Usage(budget)
    token = current.set(bill)
    try:
        yield bill
    finally:
        current.reset(token)


def lines() -> tuple[Calls, ...]:
    """Of the bill that is open; nothing where none is."""
    bill = current.get()
    return () if bill is None else bill.lines()


def priced(prices: Mapping[str, ModelPrice]) -> None:
    """Take the pipeline's own prices for the bill that is open."""
    if (bill := current.get()) is not None:
        bill.prices = prices
