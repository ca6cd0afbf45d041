"""Checks whether what is written about a run in four places says the same. Pure.

The run's own row tells its tally, the batches theirs, the quarantine holds what was kept back, and the load ledger in
the destination says what was loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from loom_common.domain.run.tally import Tally
from loom_coordinator.accounting import tallies
from loom_coordinator.db import run_rows

OUTCOMES = ("rejected", "skipped", "quarantined")


@dataclass(frozen=True, slots=True)
class Books:
    """Holds what is written of one run."""

    status: str
    told: Tally | None
    """The number that the run's row says; None before its end."""
    batches: Tally
    """Holds the sum of what the rows of the run's batches say."""
    totals: Tally
    """The sums that the run's row in `run_totals` says of them."""
    unfinished: int
    """The number of batches that are not done."""
    kept: Mapping[str, int]
    """Outcome -> records in the quarantine."""
    unkept: int
    """Batches of which the quarantine holds fewer records than they kept back."""
    loaded: Mapping[str, int] = field(default_factory=dict)
    """Batch -> records loaded, as its facts say."""
    ledger: Mapping[str, int] | None = None
    """Batch -> records loaded, as the destination says; None where it was not asked, or dropped what was staged."""
    placed: Mapping[str, bool] | None = None
    """Says what the loader said of its two places at the end; None where it said nothing yet."""
    dropped: bool = False
    """Tells whether staged rows were given up."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Represents a difference between two numbers that ought to be one."""

    what: str
    expected: int | float
    found: int | float


def differences(books: Books) -> list[Difference]:
    """Return all of them; none for a run whose books agree."""
    found = [*_of_the_totals(books), *_of_the_run(books), *_of_the_quarantine(books)]
    return [*found, *_of_the_ledger(books.loaded, books.ledger)] if books.ledger is not None else found


def _of_the_totals(books: Books) -> list[Difference]:
    pairs = ((name, getattr(books.batches, name), getattr(books.totals, name)) for name in Tally.model_fields)
    return [Difference(f"{name}: batches, totals", *pair) for name, *pair in pairs if not _same(*pair)]


def _of_the_run(books: Books) -> list[Difference]:
    if books.status not in run_rows.TERMINAL:
        return []
    total = tallies.shown(books.batches, books.placed, ended=books.status != run_rows.SUCCEEDED)
    if books.dropped:
        total = total.model_copy(update={"staged": 0})
    found = []
    if books.told is not None:
        pairs = ((name, getattr(total, name), getattr(books.told, name)) for name in Tally.model_fields)
        found = [Difference(f"{name}: batches, run", *pair) for name, *pair in pairs if not _same(*pair)]
    if not total.balanced:
        found.append(Difference("extracted, came to an end", total.entered, total.ended))
    if books.status == run_rows.SUCCEEDED and books.unfinished:
        found.append(Difference("batches not done in a run that succeeded", 0, books.unfinished))
    return found


def _of_the_quarantine(books: Books) -> list[Difference]:
    pairs = ((name, getattr(books.batches, name), books.kept.get(name, 0)) for name in OUTCOMES)
    found = [Difference(f"{name}: batches, quarantine", *pair) for name, *pair in pairs if not _same(*pair)]
    if books.unkept and books.status in run_rows.TERMINAL:
        found.append(Difference("batches whose kept records are not all in the quarantine", 0, books.unkept))
    return found


def _of_the_ledger(loaded: Mapping[str, int], ledger: Mapping[str, int]) -> list[Difference]:
    total, there = sum(loaded.values()), sum(ledger.values())
    found = [Difference("loaded: batches, ledger", total, there)] if total != there else []
    for batch in sorted(loaded.keys() | ledger.keys()):
        here, at_destination = loaded.get(batch, 0), ledger.get(batch, 0)
        if here != at_destination:
            found.append(Difference(f"loaded of batch {batch}: facts, ledger", here, at_destination))
    return found


def _same(one: float, other: float) -> bool:
    """Money is a sum of floats."""
    return abs(one - other) < 1e-6
