"""Decides whether a run's budget covers a call before it is made. It does no I/O.

A call is made only if its worst case fits beside everything that is spent and reserved. The budget is therefore never
exceeded, whatever the answer costs. The worst case depends on the longest allowed answer, so a call may be granted less
than it asked for; its answer is then limited to fewer tokens."""

from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

_DUST = 1e-9
"""The rounding error that is tolerated, in USD."""


class Budget(BaseModel):
    """Describes a run's budget, as its batches carry it."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    limit: float = Field(gt=0, description="USD for the run in all.")
    spent: float = Field(0.0, ge=0, description="USD that were booked on the run when the slice was asked for.")


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
