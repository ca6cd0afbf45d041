"""Draws the records of a run that people judge: those nearest to a threshold, and some at random.

Two lists are made of the records that were scored: one by their distance from the threshold, one in a random order that
the run's id gives, so that it is always the same. The sample is the beginning of both, and records are shown from both
in turn. Wherever a person stops, the first so many of the first list are judged whole, and the first so many of the
second are drawn at random from all; so each label is known to stand for how many records. A larger sample begins like
a smaller one."""

from __future__ import annotations

import datetime as dt
import hashlib
import heapq
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from loom.labelling.subject import Subject
from loom_common.async_engine import AsyncEngine
from loom_common.errors import ConfigurationError
from loom_coordinator.db.outputs import labels
from loom_coordinator.db.outputs.labels import BORDERLINE, RANDOM, LabelSample

_PAGE = 5_000
MOST = 5_000
"""The most records of one sample: their contents are kept beside the run state."""
SHARE = 0.5
"""The share of a sample that is drawn at random."""


@dataclass(frozen=True, slots=True)
class Near:
    """Represents a record with what places it in the two lists."""

    distance: float
    place: int
    """Holds the record's place in the random order, as a large number."""
    record_id: str
    margin: float


async def scored(engine: AsyncEngine, run_id: str, subject: Subject) -> AsyncIterator[tuple[str, float]]:
    """Yield all records that the run scored by the subject, each with its score. A page of them is held at a time."""
    after, more = "", True
    while more:
        async with engine.connect() as connection:
            page, more = await labels.scores_page(connection, run_id, after, _PAGE)
        for record_id, scores in page.items():
            if (score := subject.score(scores)) is not None:
                yield record_id, score
        after = next(reversed(page), after)


async def draw(
    engine: AsyncEngine, run_id: str, subject: Subject, count: int, share: float, person: str
) -> LabelSample:
    """Draw `count` records, of which about `share` at random, and store which they are. Raises `ConfigurationError`
    where the run has scored none."""
    nearest: list[tuple[float, int, str, float]] = []
    """The nearest so far, as a heap whose first is the farthest of them."""
    random: list[tuple[int, str, float, float]] = []
    population = 0
    async for record_id, score in scored(engine, run_id, subject):
        population += 1
        margin = score - subject.limit
        each = Near(round(abs(margin), 12), _place(run_id, record_id), record_id, margin)
        _keep(nearest, (-each.distance, -each.place, each.record_id, each.margin), count)
        _keep(random, (-each.place, each.record_id, each.distance, each.margin), count)
    if not population:
        raise ConfigurationError(
            f"Run {run_id} has no record with a score of {subject.name}: there is nothing to judge. `loom status "
            f"{run_id}` tells what became of its records."
        )
    by_distance = [Near(-one[0], -one[1], one[2], one[3]) for one in sorted(nearest, reverse=True)]
    by_chance = [Near(one[2], -one[0], one[1], one[3]) for one in sorted(random, reverse=True)]
    made, records = laid_out(by_distance, by_chance, min(count, population), population, share)
    sample = LabelSample(
        run_id=run_id,
        subject=subject.name,
        population=population,
        borderline=made[0],
        random=made[1],
        drawn_at=dt.datetime.now(dt.UTC),
        drawn_by=person,
    )
    async with engine.begin() as connection:
        await labels.keep_sample(connection, sample, records)
    return sample


def laid_out(
    by_distance: Sequence[Near], by_chance: Sequence[Near], count: int, population: int, share: float
) -> tuple[tuple[int, int], list[dict[str, Any]]]:
    """Return how many records are taken from the beginning of each list, and the records in the order in which they are
    shown: from both in turn, so that the random ones have their share. A record that is in both is shown once. Pure."""
    nearness: dict[str, int] = {}
    draws: dict[str, int] = {}
    order: dict[str, Near] = {}
    while len(order) < count:
        from_chance = len(draws) < len(by_chance) and (
            len(draws) + 1 <= share * (len(draws) + len(nearness) + 1) or len(nearness) == len(by_distance)
        )
        if from_chance:
            each = by_chance[len(draws)]
            draws[each.record_id] = len(draws) + 1
        else:
            each = by_distance[len(nearness)]
            nearness[each.record_id] = len(nearness) + 1
        order.setdefault(each.record_id, each)
    others = population - len(nearness)
    drawn = sum(name not in nearness for name in draws)
    records = [
        {
            "record_id": name,
            "place": place,
            "stratum": BORDERLINE if name in nearness else RANDOM,
            "nearness": nearness.get(name),
            "draw": draws.get(name),
            "probability": 1.0 if name in nearness else drawn / others,
            "margin": each.margin,
        }
        for place, (name, each) in enumerate(order.items(), start=1)
    ]
    return (len(nearness), len(draws)), records


def _keep(heap: list[Any], entry: Any, most: int) -> None:
    if len(heap) < most:
        heapq.heappush(heap, entry)
    elif entry > heap[0]:
        heapq.heapreplace(heap, entry)


def _place(run_id: str, record_id: str) -> int:
    """Return a number that is the record's place in a random order of the run's records."""
    return int.from_bytes(hashlib.sha256(f"{run_id}\0{record_id}".encode()).digest()[:8])
