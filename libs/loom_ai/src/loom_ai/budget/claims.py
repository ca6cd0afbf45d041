"""Reserves the worst case of a call in every account that has to bear it: that of its run, and that of the day of its
stream. Either all of them bear it, or none keeps anything for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from uuid import uuid4

from loom_ai.budget.ledger import Decision, Request, Reserve, Settle
from loom_common.domain.run.budget import Account, BudgetDecision, Need


@dataclass(frozen=True, slots=True)
class Claim:
    """Represents the sum that is reserved for one call in one account."""

    id: str
    account: str
    worst: float
    """Holds what the call may cost at most, in USD."""

    def settled(self, cost: float) -> Settle:
        """Return the request that replaces the sum by what the call has cost, in USD."""
        return Settle(self.id, self.account, self.worst, cost)


@dataclass(frozen=True, slots=True)
class Claimed:
    """Holds what the accounts have decided on a call."""

    verdict: BudgetDecision
    account: Account
    """The account that stands against it; where none does, the first one."""
    decision: Decision
    """Says what that account has decided."""
    claims: tuple[Claim, ...] = ()
    """Holds what is reserved; empty where it is not granted."""

    @property
    def granted(self) -> float:
        """Return the most that the call may cost, in USD."""
        return min(claim.worst for claim in self.claims)


Exchange = Callable[[Request], Awaitable[Decision]]
"""Has a request decided by the ledger."""
Release = Callable[[Claim], Awaitable[None]]
"""Gives back a claim for which no call is made."""


async def claim(exchange: Exchange, release: Release, accounts: Sequence[Account], need: Need, record: str) -> Claimed:
    """Ask all accounts for a call at once. What judging its answer costs is set aside for `record` in the account of
    the run alone: whoever has to wait for the next day finds the answer in the journal, and is judged then.

    Raises `DependencyUnavailable`; then nothing is reserved."""
    requests = [
        Reserve(
            uuid4().hex,
            each.name,
            need if each.until is None else replace(need, judged=0.0),
            each.limit,
            each.spent,
            record if each.until is None else "",
        )
        for each in accounts
    ]
    if len(requests) == 1:
        decision = await exchange(requests[0])
        granted = decision.verdict is BudgetDecision.GRANTED
        only = Claim(requests[0].id, accounts[0].name, decision.granted)
        return Claimed(decision.verdict, accounts[0], decision, (only,) if granted else ())
    decisions = await asyncio.gather(*(exchange(each) for each in requests), return_exceptions=True)
    answered = [
        (account, request, decision)
        for account, request, decision in zip(accounts, requests, decisions, strict=True)
        if not isinstance(decision, BaseException)
    ]
    claims = tuple(
        Claim(request.id, account.name, decision.granted)
        for account, request, decision in answered
        if decision.verdict is BudgetDecision.GRANTED
    )
    if len(claims) == len(accounts):
        account, _, decision = answered[0]
        return Claimed(BudgetDecision.GRANTED, account, decision, claims)
    for each in claims:
        await release(each)
    for failure in decisions:
        if isinstance(failure, BaseException):
            raise failure
    against = {decision.verdict: (account, decision) for account, _, decision in reversed(answered)}
    verdict = BudgetDecision.EXHAUSTED if BudgetDecision.EXHAUSTED in against else BudgetDecision.WAITS
    return Claimed(verdict, *against[verdict])
