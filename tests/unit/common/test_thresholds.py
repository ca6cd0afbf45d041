"""Tests that thresholds hold what they promise: by hand, and by simulation over a thousand draws."""

from __future__ import annotations

import math
import random

import pytest

from loom_common.statistics.thresholds import Goal, at, proposed, threshold_for

DELTA = 0.1
STEPS = [step / 20 for step in range(20)]


def chance_of(score):
    """Return the probability that a record of a score is right to pass."""
    return 1 / (1 + math.exp(-(8 * score - 3)))


def true_precision(threshold):
    above = [chance_of(step) for step in STEPS if step >= threshold]
    return sum(above) / len(above)


def true_recall(threshold):
    return sum(chance_of(step) for step in STEPS if step >= threshold) / sum(map(chance_of, STEPS))


def drawn(chance, count):
    scores = chance.choices(STEPS, k=count)
    return scores, [chance.random() < chance_of(score) for score in scores]


@pytest.mark.parametrize(
    ("goal", "target", "truth"), [(Goal.PRECISION, 0.9, true_precision), (Goal.RECALL, 0.9, true_recall)]
)
def test_the_target_is_missed_no_more_often_than_delta_over_a_thousand_draws(goal, target, truth):
    chance = random.Random(2)
    missed = given = 0
    for _ in range(1_000):
        found = threshold_for(*drawn(chance, 300), goal, target, DELTA)
        given += found is not None
        missed += found is not None and truth(found) < target
    # Were the probability of a miss as large as delta, more than 131 would be a chance of one in a thousand.
    assert missed <= 131
    assert given > 500  # a threshold that is never given would hold everything


def test_many_labels_come_close_to_the_best_threshold():
    found = proposed(*drawn(random.Random(1), 4_000), Goal.PRECISION, 0.9, DELTA)
    best = min(step for step in STEPS if true_precision(step) >= 0.9)
    assert best <= found.threshold <= best + 0.1
    assert found.precision_interval.low < found.precision < found.precision_interval.high


def test_too_few_labels_propose_nothing():
    assert proposed([0.9, 0.8, 0.1], [True, True, False], Goal.PRECISION, 0.95, 0.05) is None
    assert proposed([], [], Goal.RECALL, 0.9, 0.05) is None
    assert proposed([0.5] * 40, [False] * 40, Goal.RECALL, 0.9, 0.05) is None


def test_what_a_threshold_comes_to_is_counted():
    found = at([0.9, 0.8, 0.7, 0.2], [True, False, True, True], 0.7)
    assert (found.precision, found.recall, found.passing) == (pytest.approx(2 / 3), pytest.approx(2 / 3), 0.75)
