"""Tests what labels of a sample of two strata say of all records: by hand, by counting, and by simulation."""

from __future__ import annotations

import math
import random

import pytest

from loom_common.statistics.agreement import cohens_kappa
from loom_common.statistics.classification import Confusion
from loom_common.statistics.stratified import Labelled, Strata, agreement, at, at_least, bounds, kappa, proposed
from loom_common.statistics.thresholds import Goal


def population(number: int, chance: random.Random) -> list[tuple[float, bool]]:
    """Return scores of which the higher ones are right more often."""
    scores = [round(chance.random(), 3) for _ in range(number)]
    return [(score, chance.random() < 0.3 + 0.7 * score) for score in scores]


def sample(records: list[tuple[float, bool]], nearest: int, drawn: int, chance: random.Random, limit=0.6) -> Strata:
    """Judge the records nearest to the limit, and some of the others that are drawn at random."""
    ordered = sorted(records, key=lambda one: abs(one[0] - limit))
    whole, others = ordered[:nearest], ordered[nearest:]
    picked = chance.sample(others, drawn)
    levels = {limit, *(score for score, _ in (*whole, *picked))}
    return Strata(
        [Labelled(*each) for each in whole],
        [Labelled(*each) for each in picked],
        len(others),
        {level: sum(score >= level for score, _ in others) for level in levels},
    )


def share(records, threshold: float) -> tuple[float, float]:
    """Return precision and recall of a threshold among all records."""
    passing = [right for score, right in records if score >= threshold]
    return sum(passing) / len(passing), sum(passing) / sum(right for _, right in records)


@pytest.mark.parametrize(
    ("hits", "drawn", "right", "records"), [(1, 2, 2, 5), (2, 3, 4, 7), (3, 3, 3, 9), (0, 2, 1, 4)]
)
def test_the_tail_is_that_of_draws_without_replacement(hits, drawn, right, records):
    ways = sum(
        math.comb(right, each) * math.comb(records - right, drawn - each) for each in range(hits, min(drawn, right) + 1)
    )
    assert at_least(hits, drawn, right, records) == pytest.approx(ways / math.comb(records, drawn))


def test_bounds_of_a_census_are_the_number_itself_and_without_draws_nothing_is_known():
    assert bounds(7, 10, 10, 0.05) == (7, 7)
    assert bounds(0, 0, 40, 0.05) == (0, 40)
    low, high = bounds(7, 10, 1_000, 0.05)
    assert 0 < low < 700 < high < 1_000


def test_where_everything_is_labelled_the_figures_are_those_of_all_records():
    chance = random.Random(1)
    records = population(200, chance)
    strata = sample(records, 50, 150, chance)
    precision, recall = share(records, 0.6)
    found = at(strata, 0.6)
    assert (found.precision, found.recall) == (pytest.approx(precision), pytest.approx(recall))
    assert found.precision_interval.low == found.precision_interval.high == pytest.approx(precision)
    cells = Confusion.of((str(right), str(score >= 0.6)) for score, right in records)
    assert kappa(strata, 0.6)[0] == pytest.approx(cohens_kappa(cells))
    assert agreement(strata, 0.6) == pytest.approx(cells.accuracy)


def test_labels_of_borderline_records_do_not_make_an_evaluator_look_worse_than_it_is():
    chance = random.Random(2)
    records = [(0.6, False)] * 100 + [(0.1, False)] * 900 + [(0.9, True)] * 1_000
    strata = sample(records, 100, 100, chance)
    assert agreement(strata, 0.6) == pytest.approx(0.95)
    plain = Confusion.of((str(each.right), str(each.score >= 0.6)) for each in (*strata.whole, *strata.drawn))
    assert plain.accuracy == pytest.approx(0.5)
    value, interval = kappa(strata, 0.6)
    assert value == pytest.approx(0.9, abs=0.02)
    assert interval is not None and interval.low <= value <= interval.high


def test_a_stratum_without_a_label_leaves_everything_open():
    only_nearest = Strata([Labelled(0.6, True)], [], 10, {0.6: 5})
    assert kappa(only_nearest, 0.6) == (None, None)
    assert agreement(only_nearest, 0.6) is None
    assert proposed(only_nearest, Goal.PRECISION, 0.5, 0.05) is None


def test_records_about_which_nobody_could_say_anything_widen_the_interval():
    chance = random.Random(3)
    strata = sample(population(100, chance), 40, 60, chance)
    whole = [Labelled(each.score, None if place < 10 else each.right) for place, each in enumerate(strata.whole)]
    skipped = at(Strata(whole, strata.drawn, strata.others, strata.above), 0.6)
    known = at(strata, 0.6)
    assert skipped.precision_interval.low < known.precision <= skipped.precision_interval.high
    assert known.precision_interval.low == known.precision_interval.high


@pytest.mark.parametrize(("goal", "target"), [(Goal.PRECISION, 0.7), (Goal.RECALL, 0.8)])
def test_a_proposed_threshold_misses_its_target_no_more_often_than_it_says(goal, target):
    chance, delta, draws = random.Random(4), 0.2, 60
    records = population(400, chance)
    missed = found = 0
    for _ in range(draws):
        made = proposed(sample(records, 40, 80, chance), goal, target, delta)
        if made is not None:
            found += 1
            missed += share(records, made.threshold)[goal is Goal.RECALL] < target
    assert found > draws / 2
    assert missed <= delta * draws
