"""Counts what happened to the records of a batch.

A batch carries its tally from stage to stage, so that its last fact holds all counts, in whatever order facts
arrive."""

import functools
from collections.abc import Mapping
from typing import Self

from pydantic import BaseModel, ConfigDict

from loom_common.domain.frozen_models import replaced


class Tally(BaseModel):
    """Counts of records and model calls, and costs in USD, over the stages passed so far."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    extracted: int = 0
    transformed: int = 0
    passed: int = 0
    unscored: int = 0
    """The number of records that passed without being evaluated, because `evaluate.sample` left them out. They are
    among `passed`."""
    rejected: int = 0
    skipped: int = 0
    quarantined: int = 0
    loaded: int = 0
    staged: int = 0
    """Loaded records that are written beside the destination and cannot be read until the run's end puts them in
    place."""
    second: int = 0
    """Loaded records that are in the second destination, `load.fallback`."""
    cancelled: int = 0
    filtered: int = 0
    """Records that a filter among the steps of the transform dropped: they are neither loaded nor kept."""
    derived: int = 0
    """Records that steps of the transform made of others. Each has an end of its own."""
    unnested: int = 0
    """Records that steps of the transform made others of. That is their end: the others go on in their place."""
    grouped: int = 0
    """Records that steps of the transform made one of, with others of their group. That is their end: the one of the
    group goes on."""
    calls_made: int = 0
    """Model calls that this run paid for."""
    calls_from_cache: int = 0
    """Answers from the journal that another run or record had paid for."""
    tokens_in: int = 0
    tokens_out: int = 0
    cost_transform: float = 0.0
    cost_evaluate: float = 0.0

    @staticmethod
    def of(amounts: Mapping[str, float]) -> "Tally":
        """Return the tally of these amounts, one for each field, as a table holds them: they are not checked."""
        return replaced(_nothing(), **amounts)

    def plus(self, **more: float) -> Self:
        """Return a copy with the amounts added to its fields."""
        known = vars(self)
        changed = {name: known[name] + amount for name, amount in more.items() if amount}
        return replaced(self, **changed) if changed else self

    def __add__(self, other: "Tally") -> "Tally":
        return self.plus(**{name: getattr(other, name) for name in type(other).model_fields})

    @property
    def judged(self) -> int:
        """Return the number of records that the gate has decided about."""
        return self.passed - self.unscored + self.rejected

    @property
    def kept(self) -> int:
        """Return the number of records in `quarantined_records`: all that were neither loaded, filtered,
        unnested, grouped nor cancelled."""
        return self.rejected + self.skipped + self.quarantined

    @property
    def entered(self) -> int:
        """Return the number of records that come to an end: those extracted, and those that steps made of others."""
        return self.extracted + self.derived

    @property
    def ended(self) -> int:
        """Return the number of records that have reached one of the eight final outcomes."""
        return self.loaded + self.kept + self.filtered + self.unnested + self.grouped + self.cancelled

    @property
    def underway(self) -> int:
        """Records without a final outcome yet. It is 0 for a finished batch and never negative."""
        return self.entered - self.ended

    @property
    def errors(self) -> int:
        """Return the number of records that failed with an error, including skipped ones. A rejection is no error."""
        return self.quarantined + self.skipped

    def shown(self, *, placed: bool, second_placed: bool, ended: bool) -> Self:
        """Return a run's tally for people, in which `loaded` counts only records that can be read.

        Rows that were not put in place count as `staged`. Once the run has ended, they and the unfinished records count
        as cancelled."""
        first = 0 if placed else min(self.staged, self.loaded - self.second)
        staged = first + (0 if second_placed else min(self.staged - first, self.second))
        changed = {"loaded": self.loaded - staged, "staged": staged}
        if ended:
            changed["cancelled"] = self.cancelled + self.underway + staged
        return self.model_copy(update=changed)

    @property
    def balanced(self) -> bool:
        """Tell whether `extracted + derived = loaded + filtered + unnested + grouped + rejected + skipped +
        quarantined + cancelled`."""
        return self.underway == 0


@functools.cache
def _nothing() -> "Tally":
    """Return the tally of nothing. Made where it is needed first, because the model is built then."""
    return Tally()
