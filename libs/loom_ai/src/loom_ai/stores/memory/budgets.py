"""Implements a reservation ledger in memory, for tests and for runs in a single process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from loom_ai.budget.ledger import LEASE_SECONDS, OWED_SECONDS, Decision, Held, Request, Settle, decided
from loom_common.domain.run.budget import BudgetState
from loom_common.ports.clock import Clock, SystemClock


class MemoryBudgets:
    """Implements a `BudgetLedger` in dictionaries. `sibling` returns the same ledger for another holder."""

    def __init__(self, clock: Clock | None = None, shared: MemoryBudgets | None = None) -> None:
        self.lease = LEASE_SECONDS
        self._clock = clock or SystemClock()
        self._standings: dict[str, BudgetState] = {} if shared is None else shared._standings
        self._reservations: dict[str, _Held] = {} if shared is None else shared._reservations
        self._owed: dict[str, _Held] = {} if shared is None else shared._owed
        self._mine: set[str] = set()

    def sibling(self) -> MemoryBudgets:
        """Return the same ledger as another process would see it."""
        return MemoryBudgets(self._clock, self)

    async def exchange(self, requests: Sequence[Request]) -> list[Decision]:
        self._expire()
        decisions: dict[str, Decision] = {}
        for run_id in sorted({each.run_id for each in requests}):
            mine = [each for each in requests if each.run_id == run_id]
            owed = {name: usd for name, (run, usd, _) in self._owed.items() if run == run_id}
            outcome = decided(self._standing(run_id), Held(frozenset(self._reservations), owed), mine)
            for each in mine:
                if isinstance(each, Settle):
                    self._reservations.pop(each.id, None)
                    self._mine.discard(each.id)
            for name in outcome.freed:
                del self._owed[name]
            for name, usd in outcome.owed.items():
                self._owed[name] = (run_id, usd, self._clock.now().timestamp() + OWED_SECONDS)
            for name, usd in outcome.granted.items():
                self._reservations[name] = (run_id, usd, self._ends())
                self._mine.add(name)
            self._standings[run_id] = outcome.standing
            decisions |= outcome.decisions
        return [decisions[each.id] for each in requests]

    async def renew(self) -> None:
        for name in self._mine & self._reservations.keys():
            run_id, worst, _ = self._reservations[name]
            self._reservations[name] = (run_id, worst, self._ends())

    async def close(self) -> None:
        self._mine.clear()

    def _ends(self) -> float:
        return self._clock.now().timestamp() + self.lease

    def _standing(self, run_id: str) -> BudgetState:
        known = self._standings.get(run_id, BudgetState())
        reserved = sum(worst for run, worst, _ in self._reservations.values() if run == run_id)
        owed = sum(usd for run, usd, _ in self._owed.values() if run == run_id)
        return replace(known, reserved=reserved, owed=owed)

    def _expire(self) -> None:
        now = self._clock.now().timestamp()
        for name, (run_id, worst, ends) in list(self._reservations.items()):
            if ends < now:
                del self._reservations[name]
                known = self._standings.get(run_id, BudgetState())
                self._standings[run_id] = replace(known, lost=known.lost + worst)
        for name in [name for name, (_, _, ends) in self._owed.items() if ends < now]:
            del self._owed[name]


_Held = tuple[str, float, float]
"""The run, the USD, and the end of the lease."""
