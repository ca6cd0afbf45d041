"""Collects the model calls that one message takes, and the budget that they must stay within.

Each model call for a message is entered here. The facts about the message report it, whether its batch went through,
failed, or was given up."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from loom_common.domain.model_options.pricing import ModelPrice
from loom_common.domain.run.budget import Budget
from loom_common.domain.run.calls import Calls, summed
from loom_common.errors import BudgetExhausted


class Usage:
    """Counts the calls of one message. Each answer of a record counts once, however often it is asked for."""

    def __init__(self, budget: Budget | None = None, epoch: int = 0) -> None:
        self.budget = budget
        """Says what the run may spend; None for no limit."""
        self.epoch = epoch
        """The epoch of the run that the message belongs to."""
        self.prices: Mapping[str, ModelPrice] = {}
        """Says what the pipeline says models cost, before any price list."""
        self.exhausted: BudgetExhausted | None = None
        """Set where a call was not made because the budget does not cover it. The batch is then not done, even if the
        handler went on without the answer."""
        self.under_way: set[asyncio.Task[object]] = set()
        """Calls begun for this message. They go on where the handler was cancelled, and what they cost counts."""
        self._entries: dict[tuple[str, str], Calls] = {}

    def has(self, key: str, record_id: str, *, paid: bool) -> bool:
        """Tell whether an answer is entered, as paid for or as reused."""
        entered = self._entries.get((key, record_id))
        return entered is not None and bool(entered.made) is paid

    def enter(self, key: str, record_id: str, calls: Calls) -> None:
        """Count an answer: `key` is the journal's."""
        self._entries[(key, record_id)] = calls

    @property
    def answers(self) -> tuple[tuple[str, str], ...]:
        """Return the journal's key of each answer that was entered, with the record that it was entered for."""
        return tuple(self._entries)

    def lines(self) -> tuple[Calls, ...]:
        """Return everything so far, one entry per purpose, provider and model."""
        return summed(self._entries.values())

    async def settled(self, seconds: float) -> None:
        """Wait for the calls under way, at most so long."""
        if self.under_way:
            await asyncio.wait(self.under_way, timeout=seconds)
