"""Whether a run's budget covers a call that has not been made yet. Pure.

A call is made only when its worst case fits beside everything spent and everything reserved, so that the budget is
never passed, whatever its answer costs. The worst case depends on the longest answer that is allowed, so a call may be
granted less than it asks for: its answer is then allowed fewer tokens."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

_DUST = 1e-9
"""USD that rounding may take."""


class Budget(BaseModel):
    """What a run may spend, as its batches carry it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    limit: float = Field(gt=0, description="USD for the run in all.")
    spent: float = Field(0.0, ge=0, description="USD that were booked on the run when the slice was asked for.")


SHARES = 256
"""A call may take this part of the rest for its worst case without being limited to the length of answers seen so far.
So many calls can be under way at once while each of them still has more room than it needs."""


class BudgetDecision(StrEnum):
    """What becomes of a call."""

    GRANTED = "granted"
    WAITS = "waits"
    """It would fit if others, whose calls are under way, came back with less than their worst case."""
    EXHAUSTED = "exhausted"
    """It does not fit, whatever the calls under way will cost."""


@dataclass(frozen=True, slots=True)
class Need:
    """What a call may cost at worst, by how long an answer it is allowed. USD."""

    full: float
    """The answer may be as long as the pipeline says."""
    enough: float
    """It may be longer than nearly all answers so far."""
    least: float
    """It may be as long as most answers so far. With less, the call is not worth making."""
    judged: float = 0.0
    """What judging the answer will cost: it is set apart with the call."""
    judging: bool = False
    """Whether the call judges. Then it may take what was set apart for judging."""
    patient: bool = True
    """Whether it may wait for judgements that will perhaps cost less than what was set apart for them. Where it has
    waited in vain and nothing was judged yet, what is set apart is only an estimate, and holds it up no longer."""


@dataclass(frozen=True, slots=True)
class BudgetState:
    """A run's money. USD."""

    spent: float = 0.0
    """True cost of calls that were answered."""
    lost: float = 0.0
    """Worst case of calls that were under way in a process that died: the provider may have charged them."""
    reserved: float = 0.0
    """Worst case of the calls that are under way."""
    owed: float = 0.0
    """What is set apart to judge what was answered already."""
    judged: int = 0
    """Records that were judged."""
    judging: float = 0.0
    """What judging them has cost, all together."""

    @property
    def gone(self) -> float:
        """What cannot come back."""
        return self.spent + self.lost


_MARGIN = 1.5
"""How much more may be set apart for a judgement than judgements have cost."""


def owed_for(estimate: float, standing: BudgetState) -> float:
    """What is set apart to judge a record: by what judging has cost in the run, before it has by an estimate. USD."""
    if not estimate or not standing.judged:
        return estimate
    return _MARGIN * standing.judging / standing.judged


def fits(limit: float, standing: BudgetState, owed: float) -> BudgetDecision:
    """Whether so much can be set apart for judgements, beside everything else."""
    if standing.gone + standing.reserved + standing.owed + owed <= limit + _DUST:
        return BudgetDecision.GRANTED
    return BudgetDecision.WAITS if standing.reserved + standing.owed > _DUST else BudgetDecision.EXHAUSTED


def decide(limit: float, standing: BudgetState, need: Need) -> tuple[BudgetDecision, float]:
    """Whether a call may be made under a budget of `limit` USD, and what it may cost at worst."""
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
