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

from loom_common.domain.run.budget import BudgetDecision, BudgetState, Need, decide, fits, owed_for

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
    cost: float | None = None
    """USD that judging them took, where they were judged."""
    id: str = field(default_factory=lambda: uuid4().hex)


@dataclass(frozen=True, slots=True)
class Owe:
    """The wish to set apart what judging the records of a batch will cost: all of it or nothing."""

    id: str
    run_id: str
    owed: Mapping[str, float]
    """USD by the id of the record. What is set apart already stays as it is."""
    limit: float


Request = Reserve | Settle | Free | Owe


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a request, and how the run stands. Only a wish may not be granted."""

    verdict: BudgetDecision
    standing: BudgetState
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
class ReservationResult:
    """What an exchange changes on one run."""

    standing: BudgetState
    decisions: Mapping[str, Decision]
    """By the request's id."""
    granted: Mapping[str, float]
    """New reservations: USD by the id of the wish."""
    owed: Mapping[str, float]
    """New sums set apart: USD by the id of the record."""
    freed: Sequence[str]
    """Records to which nothing is owed any more."""


def carried_out(standing: BudgetState, held: Held, requests: Sequence[Request]) -> ReservationResult:
    """What becomes of one run's `requests`: what gives money back comes first. Pure."""
    exchange = _Exchange(standing, held.calls, dict(held.owed))
    for kind in (Free, Settle, Owe, Reserve):
        for each in requests:
            if isinstance(each, kind):
                exchange.carry_out(each)
    for each in requests:
        exchange.decisions.setdefault(each.id, Decision(BudgetDecision.GRANTED, exchange.standing))
    new = {name: exchange.owed[name] for name in exchange.new if name in exchange.owed}
    return ReservationResult(exchange.standing, exchange.decisions, exchange.granted, new, exchange.freed)


@dataclass(slots=True)
class _Exchange:
    """One run's ledger while requests are carried out."""

    standing: BudgetState
    calls: frozenset[str]
    owed: dict[str, float]
    decisions: dict[str, Decision] = field(default_factory=dict)
    granted: dict[str, float] = field(default_factory=dict)
    new: list[str] = field(default_factory=list)
    freed: list[str] = field(default_factory=list)

    def carry_out(self, request: Request) -> None:
        match request:
            case Free():
                self._free(request)
            case Settle():
                self.standing = _settled(self.standing, request, stands=request.id in self.calls)
            case Owe():
                self._set_apart(request)
            case Reserve():
                self._reserve(request)

    def _free(self, request: Free) -> None:
        for name in request.records:
            if name in self.owed:
                self.standing = replace(self.standing, owed=max(0.0, self.standing.owed - self.owed.pop(name)))
                self.freed.append(name)
        if request.cost is not None:
            judged, judging = self.standing.judged + len(request.records), self.standing.judging + request.cost
            self.standing = replace(self.standing, judged=judged, judging=judging)

    def _set_apart(self, batch: Owe) -> None:
        wanted = {name: owed_for(usd, self.standing) for name, usd in batch.owed.items() if name not in self.owed}
        verdict = fits(batch.limit, self.standing, sum(wanted.values()))
        self.decisions[batch.id] = Decision(verdict, self.standing)
        if verdict is BudgetDecision.GRANTED:
            self._owe(wanted)

    def _reserve(self, wish: Reserve) -> None:
        if self.standing.spent < wish.booked:
            self.standing = replace(self.standing, spent=wish.booked)
        owing = 0.0 if wish.record in self.owed else owed_for(wish.need.judged, self.standing)
        verdict, amount = decide(wish.limit, self.standing, replace(wish.need, judged=owing))
        self.decisions[wish.id] = Decision(verdict, self.standing, amount)
        if verdict is BudgetDecision.GRANTED:
            self.granted[wish.id] = amount
            self.standing = replace(self.standing, reserved=self.standing.reserved + amount)
            if owing:
                self._owe({wish.record: owing})

    def _owe(self, sums: Mapping[str, float]) -> None:
        self.owed |= sums
        self.new += sums
        self.standing = replace(self.standing, owed=self.standing.owed + sum(sums.values()))


def _settled(standing: BudgetState, done: Settle, *, stands: bool) -> BudgetState:
    spent = standing.spent + done.cost
    if stands:
        return replace(standing, spent=spent, reserved=max(0.0, standing.reserved - done.worst))
    return replace(standing, spent=spent, lost=max(0.0, standing.lost - done.worst))
