"""Whether a run's budget covers a call that has not been made yet. Pure.

A call is made only when its worst case fits beside everything spent and everything reserved, so that the budget is
never passed, whatever its answer costs."""

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


class Verdict(StrEnum):
    """What becomes of a call."""

    GRANTED = "granted"
    WAITS = "waits"
    """It would fit if others, whose calls are under way, came back with less than their worst case."""
    EXHAUSTED = "exhausted"
    """It does not fit, whatever the calls under way will cost."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A run's money. USD."""

    spent: float = 0.0
    """True cost of calls that were answered."""
    lost: float = 0.0
    """Worst case of calls that were under way in a process that died: the provider may have charged them."""
    reserved: float = 0.0
    """Worst case of the calls that are under way."""

    @property
    def gone(self) -> float:
        """What cannot come back."""
        return self.spent + self.lost


def decide(limit: float, standing: Standing, worst: float) -> Verdict:
    """Of a call that costs `worst` USD at most, under a budget of `limit` USD."""
    if standing.gone + standing.reserved + worst <= limit + _DUST:
        return Verdict.GRANTED
    if standing.gone + worst <= limit + _DUST and standing.reserved > _DUST:
        return Verdict.WAITS
    return Verdict.EXHAUSTED
