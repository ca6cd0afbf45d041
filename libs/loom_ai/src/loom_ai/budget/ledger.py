"""Defines the port of the reservation ledger, which all replicas of a worker share.

The worst case of a call is reserved before the call, and settled to its cost afterwards. A reservation has a holder (a
process) and a lease. Where the lease expires, the holder has died; the provider may have charged the call, so its worst
case counts as lost. The budget is then never exceeded.

With a reservation, the estimated cost of judging its answer is set aside for the record. When that time is over it is
free again, because nobody was paid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol
from uuid import uuid4

from loom_common.domain.run.budget import BudgetDecision, BudgetState, Need, decide, fits, owed_for

LEASE_SECONDS = 60.0
"""The number of seconds that a reservation stands without being renewed, unless `LOOM_BUDGET_LEASE_SECONDS` says
otherwise."""
OWED_SECONDS = 600.0
"""Seconds that a sum stays set aside for a judgement that does not happen."""


@dataclass(frozen=True, slots=True)
class Reserve:
    """Asks to reserve the worst case of a call."""

    id: str
    run_id: str
    need: Need
    limit: float
    """The run's budget, in USD."""
    booked: float
    """USD that the run is known to have spent. Where the ledger holds less, it did not exist yet when that was
    spent."""
    record: str = ""
    """The id under which the cost of judging the answer is set aside, once per record; empty where it is not
    judged."""


@dataclass(frozen=True, slots=True)
class Settle:
    """Ends a call: it was answered, or failed (`cost` 0)."""

    id: str
    run_id: str
    worst: float
    """The USD that were reserved."""
    cost: float


@dataclass(frozen=True, slots=True)
class Free:
    """Records that were judged or never will be. The sums that were set aside for them are freed."""

    run_id: str
    records: tuple[str, ...]
    """The ids under which sums may be set aside."""
    cost: float | None = None
    """Says what judging them cost, in USD; None where they were not judged."""
    id: str = field(default_factory=lambda: uuid4().hex)


@dataclass(frozen=True, slots=True)
class SetAside:
    """Asks to set aside the cost of judging the records of a batch, either all of it or nothing."""

    id: str
    run_id: str
    owed: Mapping[str, float]
    """An amount in USD by the id of the record. A sum that is set aside already stays unchanged."""
    limit: float


Request = Reserve | Settle | Free | SetAside


@dataclass(frozen=True, slots=True)
class Decision:
    """Holds the answer to a request, and the state of the run's budget. Only `Reserve` and `SetAside` can be
    declined."""

    verdict: BudgetDecision
    standing: BudgetState
    granted: float = 0.0
    """The most that the call may cost, in USD."""


class BudgetLedger(Protocol):
    """Keeps reservations and settlements. What `exchange` has returned for outlives this process."""

    @property
    def lease(self) -> float:
        """Return the seconds that a reservation stands without being renewed."""
        ...

    async def exchange(self, requests: Sequence[Request]) -> list[Decision]:
        """Apply all requests as one transaction and return one decision for each, in order.

        Raises `DependencyUnavailable`; then nothing was applied."""
        ...

    async def renew(self) -> None:
        """Renew all reservations of this process. Raises `DependencyUnavailable`."""
        ...

    async def close(self) -> None:
        """Close connections. Reservations stay until their leases end."""
        ...


@dataclass(frozen=True, slots=True)
class Held:
    """Holds the rows of the ledger that a list of requests refers to."""

    calls: frozenset[str] = frozenset()
    """Holds the settled reservations that still exist. A missing one was counted as lost in between, and is
    corrected."""
    owed: Mapping[str, float] = field(default_factory=dict)
    """An amount in USD set aside for records, by the id of the record."""


@dataclass(frozen=True, slots=True)
class ReservationResult:
    """Holds the changes that a list of requests makes to the ledger of one run."""

    standing: BudgetState
    decisions: Mapping[str, Decision]
    """Holds the decision on each request, by the request's id."""
    granted: Mapping[str, float]
    """An amount in USD of new reservations, by the id of the request."""
    owed: Mapping[str, float]
    """USD of new sums set aside, by the id of the record."""
    freed: Sequence[str]
    """The records whose sums are freed."""


def decided(standing: BudgetState, held: Held, requests: Sequence[Request]) -> ReservationResult:
    """Decide one run's requests, those that give money back first. It does no I/O."""
    exchange = _Exchange(standing, held.calls, dict(held.owed))
    for kind in (Free, Settle, SetAside, Reserve):
        for each in requests:
            if isinstance(each, kind):
                exchange.carry_out(each)
    for each in requests:
        exchange.decisions.setdefault(each.id, Decision(BudgetDecision.GRANTED, exchange.standing))
    new = {name: exchange.owed[name] for name in exchange.new if name in exchange.owed}
    return ReservationResult(exchange.standing, exchange.decisions, exchange.granted, new, exchange.freed)


@dataclass(slots=True)
class _Exchange:
    """Holds the state of one run's ledger while its requests are decided."""

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
            case SetAside():
                self._set_aside_batch(request)
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

    def _set_aside_batch(self, batch: SetAside) -> None:
        wanted = {name: owed_for(usd, self.standing) for name, usd in batch.owed.items() if name not in self.owed}
        verdict = fits(batch.limit, self.standing, sum(wanted.values()))
        self.decisions[batch.id] = Decision(verdict, self.standing)
        if verdict is BudgetDecision.GRANTED:
            self._set_aside(wanted)

    def _reserve(self, request: Reserve) -> None:
        if self.standing.spent < request.booked:
            self.standing = replace(self.standing, spent=request.booked)
        owing = 0.0 if request.record in self.owed else owed_for(request.need.judged, self.standing)
        verdict, amount = decide(request.limit, self.standing, replace(request.need, judged=owing))
        self.decisions[request.id] = Decision(verdict, self.standing, amount)
        if verdict is BudgetDecision.GRANTED:
            self.granted[request.id] = amount
            self.standing = replace(self.standing, reserved=self.standing.reserved + amount)
            if owing:
                self._set_aside({request.record: owing})

    def _set_aside(self, sums: Mapping[str, float]) -> None:
        self.owed |= sums
        self.new += sums
        self.standing = replace(self.standing, owed=self.standing.owed + sum(sums.values()))


def _settled(standing: BudgetState, settlement: Settle, *, stands: bool) -> BudgetState:
    spent = standing.spent + settlement.cost
    if stands:
        return replace(standing, spent=spent, reserved=max(0.0, standing.reserved - settlement.worst))
    return replace(standing, spent=spent, lost=max(0.0, standing.lost - settlement.worst))
