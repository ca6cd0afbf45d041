"""Collects the model calls that one message takes, and the budget that they must stay within.

Each model call for a message is entered here. The facts about the message report it, whether its batch went through,
failed, or was given up."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping

from loom_common.contracts.v1 import StepCount
from loom_common.domain.model_options.pricing import ModelPrice
from loom_common.domain.run.budget import Budget
from loom_common.domain.run.calls import Calls, advanced, summed
from loom_common.errors import BudgetExhausted


class Usage:
    """Counts the calls of one message. Each answer of a record counts once, however often it is asked for."""

    def __init__(self, budget: Budget | None = None, epoch: int = 0, before: tuple[Calls, ...] = ()) -> None:
        """Take the calls that were made for the batch `before` this message, in other steps of the same stage."""
        self._before = before
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
        return summed((*self._before, *self._entries.values()))

    async def settled(self, seconds: float) -> None:
        """Wait for the calls under way, at most so long."""
        if self.under_way:
            await asyncio.wait(self.under_way, timeout=seconds)


class StepUsage(Usage):
    """Counts the calls of one step of a message, and enters them in the usage of the whole message, with which it
    shares the budget, the prices and the calls under way."""

    def __init__(self, whole: Usage) -> None:
        self._whole = whole
        super().__init__(whole.budget, whole.epoch)
        self.prices = whole.prices
        self.under_way = whole.under_way

    @property
    def exhausted(self) -> BudgetExhausted | None:
        """Return why a call was not made, of whichever step."""
        return self._whole.exhausted

    @exhausted.setter
    def exhausted(self, error: BudgetExhausted | None) -> None:
        if error is not None:
            self._whole.exhausted = error

    def has(self, key: str, record_id: str, *, paid: bool) -> bool:
        """Tell whether an answer is entered, for this step or for another one: two that ask the same pay once."""
        return self._whole.has(key, record_id, paid=paid)

    def enter(self, key: str, record_id: str, calls: Calls) -> None:
        """Count an answer for the step, and for the message."""
        super().enter(key, record_id, calls)
        self._whole.enter(key, record_id, calls)


class StepBook:
    """Counts what became of the records of one message in each step. Each record counts once, however often the step is
    tried on it."""

    def __init__(self) -> None:
        self._ends: dict[str, dict[str, tuple[str, float]]] = {}
        self._derived: dict[str, dict[str, int]] = {}
        self._usages: dict[str, StepUsage] = {}

    def usage(self, step: str, whole: Usage) -> StepUsage:
        """Return the usage of a step."""
        if step not in self._usages:
            self._usages[step] = StepUsage(whole)
        return self._usages[step]

    def enter(self, step: str, record_id: str, end: str, seconds: float = 0.0) -> None:
        """Count a record that the step `made` an output of, `passed` by, `filtered` or `failed` on; or, after a dot,
        the branch of a router that it took."""
        self._ends.setdefault(step, {})[record_id] = (end, seconds)

    def derive(self, step: str, record_id: str, number: int) -> None:
        """Count the records that the step made of one, or that this one was made by it of others."""
        self._derived.setdefault(step, {})[record_id] = number

    def counts(self) -> tuple[StepCount, ...]:
        """Return what was counted, by step."""
        made = []
        for step in dict.fromkeys((*self._ends, *self._derived)):
            ends = self._ends.get(step, {})
            by_end = Counter(end for end, _ in ends.values())
            spent = advanced(self._usages[step].lines(), "step") if step in self._usages else {}
            made.append(
                StepCount(
                    name=step,
                    seen=len(ends) - by_end["passed"],
                    passed=by_end["passed"],
                    filtered=by_end["filtered"],
                    failed=by_end["failed"],
                    derived=sum(self._derived.get(step, {}).values()),
                    seconds=sum(seconds for _, seconds in ends.values()),
                    calls_made=int(spent.get("calls_made", 0)),
                    calls_from_cache=int(spent.get("calls_from_cache", 0)),
                    tokens_in=int(spent.get("tokens_in", 0)),
                    tokens_out=int(spent.get("tokens_out", 0)),
                    cost=spent.get("cost_step", 0.0),
                )
            )
            branches = ((end, number) for end, number in by_end.items() if end.startswith("."))
            made += [StepCount(name=f"{step}{end}", seen=number) for end, number in sorted(branches)]
        return tuple(made)
