"""What stands between a call and its run's budget: it is paid for only when its worst case fits.

The worst case is what the question costs, and an answer as long as the call allows. Where the budget has room, that is
what the pipeline says. Where it has not, the call is made with a lower limit, which nearly all answers so far kept
within: so many calls are under way at once, and none of them can cost more than was reserved for it."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from time import monotonic
from uuid import uuid4

import structlog

from loom_ai.budget.answer_sizes import AnswerSizes, Sizes, longest
from loom_ai.budget.ledger import BudgetLedger, Decision, Free, Owe, Request, Reserve, Settle
from loom_ai.budget.prices import Prices, Tokens
from loom_ai.coalescing import Coalescer
from loom_ai.ports import ModelAnswer, ModelCall, Payer, Waits
from loom_common.domain.run.budget import Budget, BudgetDecision, BudgetState, Need
from loom_common.errors import BudgetExhausted, LoomError, PermanentError
from loom_common.worker.usage import Usage

log = structlog.get_logger()

_LOOK_SECONDS = 0.25
"""How often to look whether another replica's calls came back with less than their worst case."""
_STILL_SECONDS = 5.0
"""How long a call waits for judgements, where nothing moves, before it does without what they may give back."""
_BATCH_STILL_SECONDS = 30.0
"""The same for a batch that is not begun yet."""
_DUST = 1e-12
_FIRST_CALLS = 8
"""Calls of one kind that are made with a lowered limit before an answer has shown how long answers are."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """What is set apart for a call."""

    id: str
    run_id: str
    worst: float
    limit: int
    """Tokens that the answer may have at most."""


class BudgetReservations:
    """Of one process. Wishes that are made at the same time are one transaction."""

    def __init__(self, ledger: BudgetLedger, prices: Prices) -> None:
        self._ledger = ledger
        self._prices = prices
        self._exchange: Coalescer[Request, Decision] = Coalescer(self._exchanged, limit=200)
        self._sizes = AnswerSizes()
        self._came_back = asyncio.Event()
        self._held = 0
        self._bold: set[str] = set()
        """Runs whose calls have waited for judgements in vain."""
        self._unsettled: list[Settle] = []
        self._renewing: asyncio.Task[None] | None = None

    async def reserve(
        self,
        call: ModelCall,
        payer: Payer,
        budget: Callable[[], Budget],
        bill: Usage,
        waits: Waits,
        beyond: int = 0,
    ) -> Reservation:
        """Set the call's worst case apart, and what judging its answer will cost. Waits while it would fit if the calls
        under way cost less than they may. `budget` gives the run's budget, which may be raised meanwhile; the answer is
        allowed more than `beyond` tokens, because it was cut off there before.

        Raises `BudgetExhausted`, `PermanentError` for a model whose price nobody knows, `DependencyUnavailable`."""
        sizes = self._sizes.of(call, payer.run_id)
        name, record = uuid4().hex, "" if not call.judged else owed_to(payer.run_id, payer.record_id)
        still = _Still(_STILL_SECONDS)
        while True:
            came_back = self._came_back
            allowed = budget()
            need = self._need(call, sizes, bill, beyond, patient=payer.run_id not in self._bold)
            if sizes.answers or sizes.first < _FIRST_CALLS:
                wish = Reserve(name, payer.run_id, need, allowed.limit, allowed.spent, record)
                sizes.first += 1
                try:
                    decision = await self._exchange(wish)
                finally:
                    sizes.first -= 1
                if decision.verdict is BudgetDecision.GRANTED:
                    limit = self._affordable(call, sizes, bill, decision.granted)
                    return self._hold(Reservation(name, payer.run_id, decision.granted, limit), call, sizes)
                standing = decision.standing
                if decision.verdict is BudgetDecision.EXHAUSTED:
                    needed = need.least + need.judged
                    bill.exhausted = BudgetExhausted(
                        allowed.limit, standing.gone, needed, standing.lost, standing.owed, payer.run_id
                    )
                    raise bill.exhausted
                if still.long(standing):
                    self._bold.add(payer.run_id)
            async with waits.for_a_turn():
                await _news_or_look(came_back)

    async def set_apart(self, run_id: str, judged: Mapping[str, float], budget: Budget) -> None:
        """Set apart what judging a batch will cost, all of it. Waits for other batches; where the batch does not fit
        although none is under way, or none of them moves, its records are seen to one by one.

        Raises `DependencyUnavailable`."""
        owed = {owed_to(run_id, name): usd for name, usd in judged.items()}
        wish, still = Owe(uuid4().hex, run_id, owed, budget.limit), _Still(_BATCH_STILL_SECONDS)
        while True:
            came_back = self._came_back
            decision = await self._exchange(wish)
            if decision.verdict is not BudgetDecision.WAITS or still.long(decision.standing):
                return
            await _news_or_look(came_back)

    async def settle(self, reservation: Reservation, call: ModelCall, cost: float, answer: ModelAnswer | None) -> None:
        """The call cost so much, in USD. Where the ledger is away, its worst case stays set apart until it is back."""
        self._learn(reservation, call, answer)
        done = Settle(reservation.id, reservation.run_id, reservation.worst, cost)
        try:
            await self._exchange(done)
        except LoomError as error:
            self._unsettled.append(done)
            log.warning("a call cannot be settled yet: it counts with its worst case", error=str(error))
        else:
            self._settled()

    async def free(self, run_id: str, records: Sequence[str], cost: float | None = None) -> None:
        """Nothing is owed to these records any more; `cost` is what judging them took, if they were judged. Where the
        ledger is away, that ends by itself, later."""
        with contextlib.suppress(LoomError):
            await self._exchange(Free(run_id, tuple(owed_to(run_id, each) for each in records), cost))
            self._news()

    async def close(self) -> None:
        """What is set apart stays so until its lease ends: its calls may have been charged."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.gather(self._renewing, return_exceptions=True)
        await self._exchange.close()
        await self._ledger.close()

    def _need(self, call: ModelCall, sizes: Sizes, bill: Usage, beyond: int, *, patient: bool) -> Need:
        full = longest(call)
        least, enough = (max(beyond, tokens) for tokens in (sizes.least(full), sizes.enough(full)))
        given = sizes.bound(call)

        def usd(given: int, answered: int) -> float:
            return self._cost(call, given, answered + sizes.beyond, bill)

        return Need(
            full=usd(given, full),
            enough=usd(given, min(full, enough)),
            least=usd(sizes.likely(call), min(full, least)),
            judged=call.judged,
            judging=not call.judged,
            patient=patient,
        )

    def _affordable(self, call: ModelCall, sizes: Sizes, bill: Usage, usd: float) -> int:
        """The longest answer that `usd` pay for. A question that cannot be paid at its bound, because nothing is left,
        is taken to be of the size that is likely."""
        full = longest(call)
        for given in (sizes.bound(call), sizes.likely(call)):
            cost = partial(self._cost, call, given, bill=bill)
            tokens = _within(usd, full, sizes.beyond, cost)
            if tokens >= sizes.least(full):
                return tokens
        return max(1, tokens)

    def _cost(self, call: ModelCall, given: int, answered: int, bill: Usage) -> float:
        price = self._prices.quote(call, Tokens(given=given, answered=answered), bill.prices)
        if not price.known:
            raise PermanentError(
                f"No price is known for model {call.model}, so the budget cannot be kept. Say it in the pipeline or in "
                f"loom.yaml, in USD per million tokens: `prices: {{{call.model}: {{input: 0.15, output: 0.60}}}}`; or "
                "take `monitoring.cost_budget` out."
            )
        return price.usd

    def learn(self, call: ModelCall, run_id: str, answer: ModelAnswer) -> None:
        """An answer was found that was paid for before."""
        self._sizes.of(call, run_id).saw(call, answer)

    def _learn(self, reservation: Reservation, call: ModelCall, answer: ModelAnswer | None) -> None:
        sizes = self._sizes.of(call, reservation.run_id)
        if reservation.limit < longest(call):
            sizes.first -= 1
        if answer is not None:
            sizes.saw(replace(call, max_tokens=reservation.limit), answer)

    async def _exchanged(self, requests: Sequence[Request]) -> list[Decision]:
        return await self._ledger.exchange(requests)

    def _settled(self) -> None:
        self._held -= 1
        self._news()

    def _news(self) -> None:
        self._came_back.set()
        self._came_back = asyncio.Event()

    def _hold(self, reservation: Reservation, call: ModelCall, sizes: Sizes) -> Reservation:
        if reservation.limit < longest(call):
            sizes.first += 1
        else:
            self._news()
        self._held += 1
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
class _Still:
    """How long nothing has moved for a call that waits, where no call is under way."""

    seconds: float
    standing: BudgetState | None = None
    since: float = 0.0

    def long(self, standing: BudgetState) -> bool:
        """Whether it has waited long enough, as the run's money stands now."""
        if standing.reserved or standing != self.standing:
            self.standing, self.since = standing, monotonic()
        return monotonic() - self.since > self.seconds


async def _news_or_look(came_back: asyncio.Event) -> None:
    """Until a call of this process comes back, or it is time to look what those of others did."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LOOK_SECONDS):
            await came_back.wait()


def owed_to(run_id: str, record_id: str) -> str:
    """Under which id the sum for judging a record is set apart."""
    return hashlib.sha256(f"{run_id}\n{record_id}".encode()).hexdigest()[:32]


def _within(usd: float, full: int, beyond: int, cost: Callable[[int], float]) -> int:
    """The most tokens, `full` at most, whose cost is within `usd` where there may be `beyond` more; 0 where none is.
    Costs grow with tokens."""
    if cost(full + beyond) <= usd + _DUST:
        return full
    low, high = 0, full
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if cost(middle + beyond) <= usd + _DUST else (low, middle)
    return low
