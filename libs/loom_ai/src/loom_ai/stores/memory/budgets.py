"""A ledger of reservations that lasts as long as its process: for tests, and for what needs no other process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from loom_ai.budget.ledger import LEASE_SECONDS, OWED_SECONDS, Decision, Held, Request, Settle, carried_out
from loom_common.domain.run.budget import BudgetState
from loom_common.ports.clock import Clock, SystemClock


class MemoryBudgets:
    """Dicts. `sibling` is another holder's hand on the same ledger."""

    def __init__(self, clock: Clock | None = None, shared: MemoryBudgets | None = None) -> None:
        self.lease = LEASE_SECONDS
        self._clock = clock or SystemClock()
        self._standings: dict[str, BudgetState] = {} if shared is None else shared._standings
        self._held: dict[str, _Held] = {} if shared is None else shared._held
        self._owed: dict[str, _Held] = {} if shared is None else shared._owed
        self._mine: set[str] = set()

    def sibling(self) -> MemoryBudgets:
        """The same ledger, held by another process."""
        return MemoryBudgets(self._clock, self)

    async def exchange(self, requests: Sequence[Request]) -> list[Decision]:
        self._expire()
        decisions: dict[str, Decision] = {}
        for run_id in sorted({each.run_id for each in requests}):
            mine = [each for each in requests if each.run_id == run_id]
            owed = {name: usd for name, (run, usd, _) in self._owed.items() if run == run_id}
            outcome = carried_out(self._standing(run_id), Held(frozenset(self._held), owed), mine)
            for each in mine:
                if isinstance(each, Settle):
                    self._held.pop(each.id, None)
                    self._mine.discard(each.id)
            for name in outcome.freed:
                del self._owed[name]
            for name, usd in outcome.owed.items():
                self._owed[name] = (run_id, usd, self._clock.now().timestamp() + OWED_SECONDS)
            for name, usd in outcome.granted.items():
                self._held[name] = (run_id, usd, self._ends())
                self._mine.add(name)
            self._standings[run_id] = outcome.standing
            decisions |= outcome.decisions
        return [decisions[each.id] for each in requests]

    async def renew(self) -> None:
        for name in self._mine & self._held.keys():
            run_id, worst, _ = self._held[name]
            self._held[name] = (run_id, worst, self._ends())

    async def close(self) -> None:
        self._mine.clear()

    def _ends(self) -> float:
        return self._clock.now().timestamp() + self.lease

    def _standing(self, run_id: str) -> BudgetState:
        known = self._standings.get(run_id, BudgetState())
        reserved = sum(worst for run, worst, _ in self._held.values() if run == run_id)
        owed = sum(usd for run, usd, _ in self._owed.values() if run == run_id)
        return replace(known, reserved=reserved, owed=owed)

    def _expire(self) -> None:
        now = self._clock.now().timestamp()
        for name, (run_id, worst, ends) in list(self._held.items()):
            if ends < now:
                del self._held[name]
                known = self._standings.get(run_id, BudgetState())
                self._standings[run_id] = replace(known, lost=known.lost + worst)
        for name in [name for name, (_, _, ends) in self._owed.items() if ends < now]:
            del self._owed[name]


_Held = tuple[str, float, float]
"""Run, USD, end of the lease."""
