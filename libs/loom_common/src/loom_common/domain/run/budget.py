"""Decides whether a run's budget covers a call before it is made. It does no I/O.

A call is made only if its worst case fits beside everything that is spent and reserved. The budget is therefore never
exceeded, whatever the answer costs. The worst case depends on the longest allowed answer, so a call may be granted less
than it asked for; its answer is then limited to fewer tokens."""

import datetime as dt
import math
from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

_DUST = 1e-9
"""The rounding error that is tolerated, in USD."""


@dataclass(frozen=True, slots=True)
class Account:
    """Names a sum that a call must fit into, as the ledger of reservations keeps it."""

    name: str
    limit: float
    """Holds what may be spent in all, in USD."""
    spent: float = 0.0
    """Holds what is known to be spent, in USD, whatever the ledger says."""
    until: dt.datetime | None = None
    """The moment after which calls go to another account; None for the account of a run, which has no such end."""


class DayBudget(BaseModel):
    """Describes what all windows of a stream may spend in a day, as their batches carry it."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    stream: str
    limit: float = Field(gt=0, description="USD for each day.")
    timezone: str = Field("UTC", description="The time zone in which a day begins.")

    def account(self, now: dt.datetime) -> Account:
        """Return the account of the day that it is at the moment `now`: each day has one of its own."""
        from zoneinfo import ZoneInfo  # few runs need it

        zone = ZoneInfo(self.timezone)
        today = now.astimezone(zone).date()
        tomorrow = dt.datetime.combine(today + dt.timedelta(days=1), dt.time(), zone)
        return Account(f"{self.stream}:{today}", self.limit, until=tomorrow.astimezone(dt.UTC))


class Budget(BaseModel):
    """Describes a run's budget, as its batches carry it."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    limit: float | None = Field(gt=0, description="USD for the run in all; null where its stream has one for the day.")
    spent: float = Field(0.0, ge=0, description="USD that were booked on the run when the slice was asked for.")
    day: DayBudget | None = Field(None, description="What the stream that the run is a window of may spend in a day.")

    def accounts(self, run_id: str, now: dt.datetime) -> tuple[Account, ...]:
        """Return the accounts that a call of the run must fit into at the moment `now`: that of the run, and that of
        the day."""
        of_run = () if self.limit is None else (Account(run_id, self.limit, self.spent),)
        return of_run if self.day is None else (*of_run, self.day.account(now))

    def has(self, account: str, limit: float, run_id: str) -> bool:
        """Tell whether an account with that limit is one that the run must keep to, be it on another day."""
        of_day = self.day is not None and account.startswith(f"{self.day.stream}:") and limit == self.day.limit
        return of_day or (account, limit) == (run_id, self.limit)

    def covers_more(self, other: "Budget") -> bool:
        """Tell whether it has more room than `other`, in one of its limits."""
        limits = zip(self._limits, other._limits, strict=True)
        return any(mine > others for mine, others in limits)

    @property
    def _limits(self) -> tuple[float, ...]:
        day = None if self.day is None else self.day.limit
        return tuple(math.inf if each is None else each for each in (self.limit, day))


SHARES = 256
"""A call may reserve this fraction of the remaining budget without a lower limit on its answer.

This many calls can be in flight at once while each of them still has its full limit."""


class BudgetDecision(StrEnum):
    """Lists the decisions about a call."""

    GRANTED = "granted"
    WAITS = "waits"
    """The call would fit if calls in flight cost less than their worst case."""
    EXHAUSTED = "exhausted"
    """The call does not fit, whatever the calls in flight will cost."""


@dataclass(frozen=True, slots=True)
class Need:
    """Describes the worst case of a call in USD, by the length of the answer that it is allowed."""

    full: float
    """The worst case with the answer limit of the pipeline."""
    enough: float
    """The worst case with a limit that nearly all earlier answers stayed within."""
    least: float
    """The worst case with a limit that most earlier answers stayed within. With less, the call is not worth
    making."""
    judged: float = 0.0
    """The cost of judging the answer, which is set aside with the call."""
    judging: bool = False
    """Tells whether the call itself judges an answer. It may then use what is set aside for judging."""
    patient: bool = True
    """Tells whether it may wait for judgements that may cost less than what is set aside for them.

    After a call has waited in vain, and while nothing was judged yet, what is set aside is a mere estimate and no
    longer delays the call."""


@dataclass(frozen=True, slots=True)
class BudgetState:
    """Describes the state of a run's budget, in USD."""

    spent: float = 0.0
    """The cost of calls that were answered."""
    lost: float = 0.0
    """The worst case of calls whose process died, because the provider may have charged them."""
    reserved: float = 0.0
    """The worst case of the calls in flight."""
    owed: float = 0.0
    """The sum that is set aside to judge answers."""
    judged: int = 0
    """The number of records that were judged."""
    judging: float = 0.0
    """The cost of judging them."""

    @property
    def gone(self) -> float:
        """Return the sum that cannot be freed any more."""
        return self.spent + self.lost


_MARGIN = 1.5
"""The factor on the mean cost of judging that is set aside per record."""


def owed_for(estimate: float, standing: BudgetState) -> float:
    """Return the USD to set aside to judge a record: from the run's own judging costs, or else from the estimate."""
    if not estimate or not standing.judged:
        return estimate
    return _MARGIN * standing.judging / standing.judged


def fits(limit: float, standing: BudgetState, owed: float) -> BudgetDecision:
    """Decide whether `owed` USD can be set aside for judging."""
    if standing.gone + standing.reserved + standing.owed + owed <= limit + _DUST:
        return BudgetDecision.GRANTED
    return BudgetDecision.WAITS if standing.reserved + standing.owed > _DUST else BudgetDecision.EXHAUSTED


def decide(limit: float, standing: BudgetState, need: Need) -> tuple[BudgetDecision, float]:
    """Decide whether a call may be made under a budget of `limit` USD, and return what it may cost at most."""
    bold = not need.patient and not standing.judged
    owed = 0.0 if need.judging else need.judged if bold else standing.owed + need.judged
    rest = limit - standing.gone - standing.reserved - owed + _DUST
    wanted = min(need.full, max(need.enough, rest / SHARES))
    if wanted <= rest:
        return BudgetDecision.GRANTED, wanted
    others = standing.reserved + (standing.owed if need.patient and not need.judging else 0.0)
    if others > _DUST and standing.gone + need.least + need.judged <= limit + _DUST:
        return BudgetDecision.WAITS, 0.0
    if need.least <= rest:
        return BudgetDecision.GRANTED, min(need.full, rest)
    return BudgetDecision.EXHAUSTED, 0.0
