"""What became of the records of a batch, counted. A batch carries its tally from stage to stage, so that
the fact of its end alone tells its whole story, whatever order facts arrive in."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict


class Tally(BaseModel):
    """Counts of records and calls, and money in USD. Cumulative over the stages passed so far."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    extracted: int = 0
    transformed: int = 0
    passed: int = 0
    unscored: int = 0
    """Of those that passed: let through unseen, because `evaluate.sample` left them out."""
    rejected: int = 0
    skipped: int = 0
    quarantined: int = 0
    loaded: int = 0
    staged: int = 0
    """Of the loaded: written beside the destination; nobody reads them before the run's end puts them in place."""
    second: int = 0
    """Of the loaded: in the second destination, `load.fallback`."""
    cancelled: int = 0
    calls_made: int = 0
    """Model calls this run paid for."""
    calls_from_cache: int = 0
    """Results taken from the journal that another run, or another record, had paid for."""
    tokens_in: int = 0
    tokens_out: int = 0
    cost_transform: float = 0.0
    cost_evaluate: float = 0.0

    def plus(self, **more: float) -> Self:
        """A copy with the given fields raised."""
        return self.model_copy(update={name: getattr(self, name) + amount for name, amount in more.items()})

    def __add__(self, other: Tally) -> Tally:
        return self.plus(**{name: getattr(other, name) for name in type(other).model_fields})

    @property
    def judged(self) -> int:
        """Records that the gate decided about."""
        return self.passed - self.unscored + self.rejected

    @property
    def kept(self) -> int:
        """Records that stand in `quarantined_records`: every one that neither loaded nor was cancelled."""
        return self.rejected + self.skipped + self.quarantined

    @property
    def ended(self) -> int:
        """Records that came to one of the five ends."""
        return self.loaded + self.kept + self.cancelled

    @property
    def underway(self) -> int:
        """Records that have not ended yet. 0 for a finished batch; never negative."""
        return self.extracted - self.ended

    @property
    def errors(self) -> int:
        """Records that an error kept back, skipped ones among them. A rejection is no error."""
        return self.quarantined + self.skipped

    def shown(self, *, placed: bool, second_placed: bool, ended: bool) -> Self:
        """The tally of a run for people: `loaded` counts only what can be read. Rows that no exchange has put in place
        are counted as `staged`; where the run has ended, they count as cancelled, too, as does what never ended."""
        first = 0 if placed else min(self.staged, self.loaded - self.second)
        staged = first + (0 if second_placed else min(self.staged - first, self.second))
        changed = {"loaded": self.loaded - staged, "staged": staged}
        if ended:
            changed["cancelled"] = self.cancelled + self.underway + staged
        return self.model_copy(update=changed)

    @property
    def balanced(self) -> bool:
        """The ledger balances: `extracted = loaded + rejected + skipped + quarantined + cancelled`."""
        return self.underway == 0
