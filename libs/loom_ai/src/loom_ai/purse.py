"""What stands between a call and its run's budget: it is paid for only when its worst case fits."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import uuid4

import structlog

from loom_ai.budgets import BudgetLedger, Decision, Reserve, Settle
from loom_ai.counting import MOST_ANSWERED, most
from loom_ai.grouped import Grouped
from loom_ai.ports import ModelCall
from loom_ai.prices import Prices, Tokens
from loom_common.bills import Bill
from loom_common.domain.budget import Budget, Verdict
from loom_common.errors import BudgetExhausted, LoomError, PermanentError

log = structlog.get_logger()

_LOOK_SECONDS = 0.25
"""How often to look whether another replica's calls came back with less than their worst case."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """What is set apart for a call."""

    id: str
    run_id: str
    worst: float


class Purse:
    """Of one process. Wishes that are made at the same time are one transaction."""

    def __init__(self, ledger: BudgetLedger, prices: Prices) -> None:
        self._ledger = ledger
        self._prices = prices
        self._exchange: Grouped[Reserve | Settle, Decision] = Grouped(self._exchanged, limit=200)
        self._came_back = asyncio.Event()
        self._held = 0
        self._unsettled: list[Settle] = []
        self._renewing: asyncio.Task[None] | None = None

    async def reserve(self, call: ModelCall, run_id: str, budget: Budget, bill: Bill) -> Reservation:
        """Set the call's worst case apart. Waits while it would fit if the calls under way cost less than they may.

        Raises `BudgetExhausted`, `PermanentError` for a model whose price nobody knows, `DependencyUnavailable`."""
        worst = self._worst(call, bill)
        wish = Reserve(uuid4().hex, run_id, worst, budget.limit, budget.spent)
        while True:
            came_back = self._came_back
            decision = await self._exchange(wish)
            if decision.verdict is Verdict.GRANTED:
                self._hold()
                return Reservation(wish.id, run_id, worst)
            if decision.verdict is Verdict.EXHAUSTED:
                standing = decision.standing
                bill.exhausted = BudgetExhausted(budget.limit, standing.gone, worst, standing.lost)
                raise bill.exhausted
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await came_back.wait()

    async def settle(self, reservation: Reservation, cost: float) -> None:
        """The call cost so much, in USD. Where the ledger is away, its worst case stays set apart until it is back."""
        done = Settle(reservation.id, reservation.run_id, reservation.worst, cost)
        try:
            await self._exchange(done)
        except LoomError as error:
            self._unsettled.append(done)
            log.warning("a call cannot be settled yet: it counts with its worst case", error=str(error))
        else:
            self._settled()

    async def close(self) -> None:
        """What is set apart stays so until its lease ends: its calls may have been charged."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.gather(self._renewing, return_exceptions=True)
        await self._exchange.close()
        await self._ledger.close()

    def _worst(self, call: ModelCall, bill: Bill) -> float:
        tokens = Tokens(given=most(call), answered=call.max_tokens or MOST_ANSWERED)
        price = self._prices.quote(call, tokens, bill.prices)
        if not price.known:
            raise PermanentError(
                f"No price is known for model {call.model}, so the budget cannot be kept. Say it in the pipeline or in "
                f"loom.yaml, in USD per million tokens: `prices: {{{call.model}: {{input: 0.15, output: 0.60}}}}`; or "
                "take `monitoring.cost_budget` out."
            )
        return price.usd

    async def _exchanged(self, requests: Sequence[Reserve | Settle]) -> list[Decision]:
        return await self._ledger.exchange(requests)

    def _settled(self) -> None:
        self._held -= 1
        self._came_back.set()
        self._came_back = asyncio.Event()

    def _hold(self) -> None:
        self._held += 1
        if self._renewing is None:
            self._renewing = asyncio.create_task(self._renew())

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


def bounded(call: ModelCall) -> ModelCall:
    """The call with a longest answer, so that it has a worst case."""
    return call if call.max_tokens is not None else replace(call, max_tokens=MOST_ANSWERED)
