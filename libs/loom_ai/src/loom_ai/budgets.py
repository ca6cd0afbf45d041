"""A run's money, shared by all replicas: what a ledger of reservations is to Loom.

The worst case of a call is reserved before it is made, and settled to what it cost. A reservation has a holder (a
process) and a lease; one that is not renewed is of a process that died. Its call may have been charged, so its worst
case counts as lost: that never passes the budget, and frees nothing that was spent.

Beside a reservation stands what it will cost to judge the answer, as a sum that is owed to the record. It is not lost
when its time is over: nobody was paid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol
from uuid import uuid4

from loom_common.domain.budget import Need, Standing, Verdict, decide

LEASE_SECONDS = 60.0
"""How long a reservation stands without its holder saying so again, unless `LOOM_BUDGET_LEASE_SECONDS` says."""
OWED_SECONDS = 600.0
"""How long a sum stays set apart for a judgement that does not come."""


@dataclass(frozen=True, slots=True)
class Reserve:
    """The wish to make a call."""

    id: str
    run_id: str
    need: Need
    limit: float
    """The run's budget, in USD."""
    booked: float
    """USD that are booked on the run already: where the ledger knows of less, it was not there when they were spent."""
    record: str = ""
    """Where the answer will be judged: under which id the sum for that is set apart, once for each record."""


@dataclass(frozen=True, slots=True)
class Settle:
    """A call was answered, or came to nothing (`cost` 0)."""

    id: str
    run_id: str
    worst: float
    """What was reserved, in USD."""
    cost: float


@dataclass(frozen=True, slots=True)
class Free:
    """Records were judged, or never will be: nothing is owed to them any more."""

    run_id: str
    records: tuple[str, ...]
    """The ids under which sums may be set apart."""
    id: str = field(default_factory=lambda: uuid4().hex)


Request = Reserve | Settle | Free


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a request, and how the run stands. Only a wish may not be granted."""

    verdict: Verdict
    standing: Standing
    granted: float = 0.0
    """What the call may cost at worst, in USD."""


class BudgetLedger(Protocol):
    """Reservations and settlements. What `exchange` has returned for survives the death of this process."""

    @property
    def lease(self) -> float:
        """Seconds a reservation stands without its holder saying so again."""
        ...

    async def exchange(self, requests: Sequence[Request]) -> list[Decision]:
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
class Held:
    """What stands in the ledger of the things that requests name."""

    calls: frozenset[str] = frozenset()
    """Reservations of those that are settled. One that stands no more was counted as lost meanwhile, and is found
    again."""
    owed: Mapping[str, float] = field(default_factory=dict)
    """USD set apart for records, by the id of the record."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an exchange changes on one run."""

    standing: Standing
    decisions: Mapping[str, Decision]
    """By the request's id."""
    granted: Mapping[str, float]
    """New reservations: USD by the id of the wish."""
    owed: Mapping[str, float]
    """New sums set apart: USD by the id of the record."""
    freed: Sequence[str]
    """Records to which nothing is owed any more."""


def carried_out(standing: Standing, held: Held, requests: Sequence[Request]) -> Outcome:
    """What becomes of one run's `requests`: what gives money back comes first. Pure."""
    owed = dict(held.owed)
    freed = [name for each in requests if isinstance(each, Free) for name in each.records if name in owed]
    for name in freed:
        standing = replace(standing, owed=max(0.0, standing.owed - owed.pop(name, 0.0)))
    for done in (each for each in requests if isinstance(each, Settle)):
        standing = _settled(standing, done, stands=done.id in held.calls)
    decisions: dict[str, Decision] = {}
    granted: dict[str, float] = {}
    new: dict[str, float] = {}
    for wish in (each for each in requests if isinstance(each, Reserve)):
        if standing.spent < wish.booked:
            standing = replace(standing, spent=wish.booked)
        need = replace(wish.need, judged=0.0) if wish.record in owed else wish.need
        verdict, amount = decide(wish.limit, standing, need)
        decisions[wish.id] = Decision(verdict, standing, amount)
        if verdict is Verdict.GRANTED:
            standing = replace(standing, reserved=standing.reserved + amount, owed=standing.owed + need.judged)
            granted[wish.id] = amount
            if need.judged:
                owed[wish.record] = new[wish.record] = need.judged
    for each in requests:
        decisions.setdefault(each.id, Decision(Verdict.GRANTED, standing))
    return Outcome(standing, decisions, granted, new, freed)


def _settled(standing: Standing, done: Settle, *, stands: bool) -> Standing:
    spent = standing.spent + done.cost
    if stands:
        return replace(standing, spent=spent, reserved=max(0.0, standing.reserved - done.worst))
    return replace(standing, spent=spent, lost=max(0.0, standing.lost - done.worst))
