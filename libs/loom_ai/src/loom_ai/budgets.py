"""A run's money, shared by all replicas: what a ledger of reservations is to Loom.

The worst case of a call is reserved before it is made, and settled to what it cost. A reservation has a holder (a
process) and a lease; one that is not renewed is of a process that died. Its call may have been charged, so its worst
case counts as lost: that never passes the budget, and frees nothing that was spent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from loom_common.domain.budget import Standing, Verdict, decide

LEASE_SECONDS = 60.0
"""How long a reservation stands without its holder saying so again, unless `LOOM_BUDGET_LEASE_SECONDS` says."""


@dataclass(frozen=True, slots=True)
class Reserve:
    """The wish to make a call."""

    id: str
    run_id: str
    worst: float
    """USD."""
    limit: float
    """The run's budget, in USD."""
    booked: float
    """USD that are booked on the run already: where the ledger knows of less, it was not there when they were spent."""


@dataclass(frozen=True, slots=True)
class Settle:
    """A call was answered, or came to nothing (`cost` 0)."""

    id: str
    run_id: str
    worst: float
    """What was reserved, in USD."""
    cost: float


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a wish, and how the run stands. A settlement is always granted."""

    verdict: Verdict
    standing: Standing


class BudgetLedger(Protocol):
    """Reservations and settlements. What `exchange` has returned for survives the death of this process."""

    @property
    def lease(self) -> float:
        """Seconds a reservation stands without its holder saying so again."""
        ...

    async def exchange(self, requests: Sequence[Reserve | Settle]) -> list[Decision]:
        """Carry out all of them at once, as if nobody else did anything meanwhile: one decision each, in order.

        Raises `DependencyUnavailable`; then nothing was done."""
        ...

    async def renew(self) -> None:
        """This process still holds what it has reserved. Raises `DependencyUnavailable`."""
        ...

    async def close(self) -> None:
        """Release connections. What is reserved stays so until its lease ends."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an exchange changes on one run."""

    standing: Standing
    decisions: Mapping[str, Decision]
    """By the request's id."""
    granted: Sequence[Reserve]


def carried_out(standing: Standing, held: Iterable[str], requests: Sequence[Reserve | Settle]) -> Outcome:
    """What becomes of one run's `requests`, settlements first. `held` are the reservations of those settled that still
    stand: what does not was counted as lost meanwhile, and is found again. Pure."""
    held = set(held)
    decisions: dict[str, Decision] = {}
    for done in (each for each in requests if isinstance(each, Settle)):
        standing = _settled(standing, done, stands=done.id in held)
    granted = []
    for wish in (each for each in requests if isinstance(each, Reserve)):
        if standing.spent < wish.booked:
            standing = replace(standing, spent=wish.booked)
        verdict = decide(wish.limit, standing, wish.worst)
        decisions[wish.id] = Decision(verdict, standing)
        if verdict is Verdict.GRANTED:
            standing = replace(standing, reserved=standing.reserved + wish.worst)
            granted.append(wish)
    for done in (each for each in requests if isinstance(each, Settle)):
        decisions[done.id] = Decision(Verdict.GRANTED, standing)
    return Outcome(standing, decisions, granted)


def _settled(standing: Standing, done: Settle, *, stands: bool) -> Standing:
    spent = standing.spent + done.cost
    if stands:
        return replace(standing, spent=spent, reserved=max(0.0, standing.reserved - done.worst))
    return replace(standing, spent=spent, lost=max(0.0, standing.lost - done.worst))
