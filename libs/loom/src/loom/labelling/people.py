"""Sums up what people said of the records of a run: what most say of each, and how far each two agree. It does no
I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from loom.benchmarks.figures.computed import Figure
from loom_common.domain.json_values.shown import Shown
from loom_common.statistics import bootstrap
from loom_common.statistics.agreement import cohens_kappa
from loom_common.statistics.classification import Confusion
from loom_coordinator.db.outputs.labels import PASS, SKIP, Label, SampledRecord


@dataclass(frozen=True, slots=True)
class OfPeople(Shown):
    """Says how far two persons agree on the records that both have judged."""

    one: str
    other: str
    records: int
    agreement: float
    kappa: Figure


def agreed(said: Sequence[Label]) -> dict[str, bool | None]:
    """Return by record what most persons say of it; None where they are divided, or all have skipped it."""
    votes: dict[str, Counter[str]] = {}
    for each in said:
        votes.setdefault(each.record_id, Counter())[each.verdict] += 1
    found: dict[str, bool | None] = {}
    for record_id, counts in votes.items():
        passes, fails = counts[PASS], counts.total() - counts[PASS] - counts[SKIP]
        found[record_id] = None if passes == fails else passes > fails
    return found


def disputed(said: Sequence[Label]) -> int:
    """Return how many records as many persons would let through as not."""
    spoken = {each.record_id for each in said if each.verdict != SKIP}
    verdicts = agreed(said)
    return sum(verdicts[name] is None for name in spoken)


def counted(
    drawn: Sequence[SampledRecord], verdicts: Mapping[str, bool | None]
) -> tuple[list[SampledRecord], list[SampledRecord]]:
    """Return the records that count: the nearest ones up to the first on which nobody has said anything, and, of those
    drawn at random up to the first such one, those that are not among the nearest. Records whose output is gone leave
    no gap."""

    def without_gap(records: Sequence[SampledRecord]) -> list[SampledRecord]:
        found = []
        for each in records:
            if each.gone is None and each.record_id not in verdicts:
                break
            found.append(each)
        return found

    whole = without_gap(
        sorted((each for each in drawn if each.nearness is not None), key=lambda one: one.nearness or 0)
    )
    names = {each.record_id for each in whole}
    at_random = [each for each in drawn if each.draw is not None]
    by_chance = without_gap(sorted(at_random, key=lambda one: one.draw or 0))
    return whole, [each for each in by_chance if each.record_id not in names]


def of_people(said: Sequence[Label]) -> list[OfPeople]:
    """Return how far each two persons agree."""
    by_person: dict[str, dict[str, str]] = {}
    for each in said:
        if each.verdict != SKIP:
            by_person.setdefault(each.person, {})[each.record_id] = each.verdict
    found = []
    for one, other in combinations(sorted(by_person), 2):
        pairs = [(by_person[one][name], by_person[other][name]) for name in by_person[one].keys() & by_person[other]]
        if pairs:
            matrix = Confusion.of(pairs)
            spread = bootstrap.of_records(sorted(pairs), lambda some: cohens_kappa(Confusion.of(some)))
            found.append(
                OfPeople(one, other, len(pairs), matrix.accuracy or 0.0, Figure.of(cohens_kappa(matrix), spread))
            )
    return found
