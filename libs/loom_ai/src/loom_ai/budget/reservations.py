"""Reserves the worst case of each call in its run's budget, and lets a call be made only when that fits.

The worst case is the cost of the question and of the longest answer that the call allows. Where the budget does not
cover that, the call is made with a lower limit that nearly all earlier answers stayed within. Many calls can then be in
flight at once, and none costs more than its reservation."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from time import monotonic
from uuid import uuid4

from loom_ai.budget.answer_sizes import AnswerSizes, Sizes, longest
from loom_ai.budget.call_costs import CallCosts
from loom_ai.budget.claims import Claim, claim
from loom_ai.budget.ledger import BudgetLedger, Decision, Free, Request, Reserve, SetAside, Settle
from loom_ai.budget.prices import Prices
from loom_ai.coalescing import Coalescer
from loom_ai.ports import ModelAnswer, ModelCall, Payer, Waits
from loom_common.domain.run.budget import Account, Budget, BudgetDecision, BudgetState, Need
from loom_common.errors import BudgetExhausted, LoomError, PermanentError
from loom_common.logs.logger import log
from loom_common.ports.clock import Clock, SystemClock
from loom_common.worker.usage import Usage

_LOOK_SECONDS = 0.25
"""The number of seconds between two looks at the ledger for settlements of other replicas."""
_STILL_SECONDS = 5.0
"""The number of seconds that a call waits for the settlement of judgements while nothing changes, before it proceeds
without it."""
_BATCH_STILL_SECONDS = 30.0
"""The same time for a batch that has not begun yet."""
_FIRST_CALLS = 8
"""The number of calls of one kind that are made with a lowered limit before the first answer shows a usual length."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """Represents what is reserved for one call."""

    run_id: str
    claims: tuple[Claim, ...]
    """The sums that are reserved, in every account that has to bear the call."""
    limit: int
    """The most tokens that the answer may have."""


class BudgetReservations:
    """Keeps the reservations of one process. Requests that arrive at the same time share a transaction."""

    def __init__(self, ledger: BudgetLedger, prices: Prices, clock: Clock | None = None) -> None:
        self._ledger = ledger
        self._costs = CallCosts(prices)
        self._clock = clock or SystemClock()
        self._exchange: Coalescer[Request, Decision] = Coalescer(self._exchanged, limit=200)
        self._sizes = AnswerSizes()
        self._changed = asyncio.Event()
        self._held = 0
        """The number of claims of calls in flight."""
        self._exchanging = 0
        """The number of calls for batches that are being decided."""
        self._impatient: set[str] = set()
        """Runs whose calls no longer wait for judgements."""
        self._unsettled: list[Settle] = []
        self._renewing: asyncio.Task[None] | None = None

    async def reserve(
        self,
        call: ModelCall,
        payer: Payer,
        budget: Callable[[], Budget],
        usage: Usage,
        waits: Waits,
        beyond: int = 0,
    ) -> Reservation:
        """Reserve the call's worst case, and the cost of judging its answer.

        It waits while the call would fit if the calls in flight cost less than their worst case. `budget` returns the
        run's budget, which may be raised meanwhile. The answer may have more than `beyond` tokens, because an earlier
        one was cut off there.

        Raises `BudgetExhausted`, `PermanentError` for a model without a price, and `DependencyUnavailable`."""
        sizes = self._sizes.of(call, payer.run_id)
        record = "" if not call.judged else judging_id(payer.run_id, payer.record_id)
        stalled = _StallTimer(_STILL_SECONDS)
        while True:
            changed = self._changed
            allowed = budget()
            need = self._costs.need(call, sizes, usage, beyond, patient=payer.run_id not in self._impatient)
            if sizes.answers or sizes.first < _FIRST_CALLS:
                accounts = allowed.accounts(payer.run_id, self._clock.now())
                sizes.first += 1
                try:
                    claimed = await claim(self._exchange, self._release, accounts, need, record)
                finally:
                    sizes.first -= 1
                if claimed.verdict is BudgetDecision.GRANTED:
                    limit = self._costs.affordable(call, sizes, usage, claimed.granted)
                    return self._hold(Reservation(payer.run_id, claimed.claims, limit), call, sizes)
                if claimed.verdict is BudgetDecision.EXHAUSTED:
                    usage.exhausted = _exhausted(claimed.account, claimed.decision.standing, need)
                    raise usage.exhausted
                if claimed.account.until is None and stalled.expired(claimed.decision.standing):
                    self._impatient.add(payer.run_id)
            async with waits.for_a_turn():
                await _wait_for_change(changed)

    async def reserve_at_once(
        self, call: ModelCall, payer: Payer, budget: Budget, usage: Usage, beyond: int = 0
    ) -> Reservation | None:
        """Reserve the worst case of a call that a provider's batch answers later, at the price of a batch. Return None
        where it has to wait for earlier calls: their batches may cost less than their worst case.

        The reservation outlives this process, and whoever reads the answer settles it by `settle_answered`. Raises
        `BudgetExhausted`, `PermanentError` for a model without a price, and `DependencyUnavailable`."""
        if budget.limit is None or budget.day is not None:
            raise PermanentError("A budget of a day is for streams, and a batch of a provider is answered after hours.")
        sizes = self._sizes.of(call, payer.run_id)
        need = self._costs.need(call, sizes, usage, beyond, patient=True)
        name, record = uuid4().hex, "" if not call.judged else judging_id(payer.run_id, payer.record_id)
        while not sizes.answers and sizes.first >= _FIRST_CALLS:
            if not self._exchanging:
                return None
            await _wait_for_change(self._changed)  # those that are decided now may get their full limits
        sizes.first += 1
        self._exchanging += 1
        try:
            decision = await self._exchange(Reserve(name, payer.run_id, need, budget.limit, budget.spent, record))
        finally:
            sizes.first -= 1
            self._exchanging -= 1
        standing = decision.standing
        if decision.verdict is BudgetDecision.WAITS:
            return None
        if decision.verdict is BudgetDecision.EXHAUSTED:
            usage.exhausted = _exhausted(Account(payer.run_id, budget.limit), standing, need)
            raise usage.exhausted
        limit = self._costs.affordable(call, sizes, usage, decision.granted)
        claims = (Claim(name, payer.run_id, decision.granted),)
        return self._hold(Reservation(payer.run_id, claims, limit), call, sizes)

    async def settle_answered(
        self, name: str, run_id: str, worst: float, limit: int, call: ModelCall, cost: float, answer: ModelAnswer | None
    ) -> None:
        """Enter the cost of a call that a batch answered, in USD; the reservation may be another process's. None for
        an answer: it was not answered, and nothing was paid."""
        await self.settle(Reservation(run_id, (Claim(name, run_id, worst),), limit), call, cost, answer)

    async def set_apart(self, run_id: str, judged: Mapping[str, float], budget: Budget) -> None:
        """Set aside the cost of judging all records of a batch, where the run has a budget of its own.

        It waits for other batches. Where the batch does not fit although none is in flight, or nothing changes, its
        records are reserved for one by one. Raises `DependencyUnavailable`."""
        if budget.limit is None:
            return
        owed = {judging_id(run_id, name): usd for name, usd in judged.items()}
        request, stalled = SetAside(uuid4().hex, run_id, owed, budget.limit), _StallTimer(_BATCH_STILL_SECONDS)
        while True:
            changed = self._changed
            decision = await self._exchange(request)
            if decision.verdict is not BudgetDecision.WAITS or stalled.expired(decision.standing):
                return
            await _wait_for_change(changed)

    async def settle(self, reservation: Reservation, call: ModelCall, cost: float, answer: ModelAnswer | None) -> None:
        """Enter the cost of the call, in USD. While the ledger cannot be reached, the worst case stays reserved."""
        self._learn(reservation, call, answer)
        await asyncio.gather(*(self._end(each.settled(cost)) for each in reservation.claims))

    async def _end(self, done: Settle) -> None:
        """Enter the end of a call in one account. Where that is not possible now, it is tried again later."""
        try:
            await self._exchange(done)
        except LoomError as error:
            self._unsettled.append(done)
            log.warning("a call cannot be settled yet: it counts with its worst case", error=str(error))
        else:
            self._settled()

    async def _release(self, unused: Claim) -> None:
        """Give back what an account had reserved for a call that another account does not bear."""
        self._held += 1
        await self._end(unused.settled(0.0))

    async def free(self, run_id: str, records: Sequence[str], cost: float | None = None) -> None:
        """Free the sums that are set aside for these records; `cost` is what judging them took, None where they were
        not judged.

        Where the ledger cannot be reached, the sums are freed when their time is over."""
        with contextlib.suppress(LoomError):
            await self._exchange(Free(run_id, tuple(judging_id(run_id, each) for each in records), cost))
            self._notify()

    async def close(self) -> None:
        """Close the ledger. Reservations stay until their leases end, because the provider may have charged the
        calls."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.gather(self._renewing, return_exceptions=True)
        await self._exchange.close()
        await self._ledger.close()

    def sizes(self, call: ModelCall, run_id: str) -> Sizes:
        """Return what is known of the sizes of calls like this one."""
        return self._sizes.of(call, run_id)

    def _learn(self, reservation: Reservation, call: ModelCall, answer: ModelAnswer | None) -> None:
        sizes = self._sizes.of(call, reservation.run_id)
        if reservation.limit < longest(call):
            sizes.first = max(0, sizes.first - 1)
        if answer is not None:
            sizes.learn(replace(call, max_tokens=reservation.limit), answer)

    async def _exchanged(self, requests: Sequence[Request]) -> list[Decision]:
        return await self._ledger.exchange(requests)

    def _settled(self) -> None:
        self._held = max(0, self._held - 1)
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _hold(self, reservation: Reservation, call: ModelCall, sizes: Sizes) -> Reservation:
        if reservation.limit < longest(call):
            sizes.first += 1
        else:
            self._notify()
        self._held += len(reservation.claims)
        if self._renewing is None:
            self._renewing = asyncio.create_task(self._renew())
        return reservation

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._ledger.lease / 4)
            if self._held > 0:
                try:
                    await self._ledger.renew()
                    while self._unsettled:
                        await self._exchange(self._unsettled[-1])
                        self._unsettled.pop()
                        self._settled()
                except LoomError as error:
                    log.warning("reservations could not be renewed", error=str(error))


@dataclass(slots=True)
class _StallTimer:
    """Measures for how long nothing has changed for a waiting call while no call is in flight."""

    seconds: float
    standing: BudgetState | None = None
    since: float = 0.0

    def expired(self, standing: BudgetState) -> bool:
        """Say whether nothing has changed for long enough, given the run's current budget state."""
        if standing.reserved or standing != self.standing:
            self.standing, self.since = standing, monotonic()
        return monotonic() - self.since > self.seconds


def _exhausted(account: Account, standing: BudgetState, need: Need) -> BudgetExhausted:
    """Return the error for a call that an account does not cover."""
    needed = need.least if account.until is not None else need.least + need.judged
    gone, lost, owed = standing.gone, standing.lost, standing.owed
    return BudgetExhausted(account.limit, gone, needed, lost, owed, account.name, account.until)


async def _wait_for_change(changed: asyncio.Event) -> None:
    """Wait until a call of this process is settled, or until it is time to look at the ledger again."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LOOK_SECONDS):
            await changed.wait()


def judging_id(run_id: str, record_id: str) -> str:
    """Return the id under which the cost of judging a record is set aside."""
    return hashlib.sha256(f"{run_id}\n{record_id}".encode()).hexdigest()[:32]
