"""Tests that the thresholds of cascades hold what they promise: by hand, and by simulation over a thousand draws."""

from __future__ import annotations

import random

import pytest

from loom_common.statistics.cascades import Band, CascadeGoal, Promise, Tried, at, by_confidence, by_score, fewest

DELTA = 0.1
MOST_MISSED = 131
"""Were the probability of a miss as large as delta, more of a thousand draws than that would be a chance of one in a
thousand."""
STEPS = [step / 20 for step in range(21)]
CLASSES = ("a", "b", "c")
SHARES = (0.5, 0.3, 0.2)
WEAKER = {"a": 0.0, "b": 0.1, "c": 0.2}
"""By how much less often the cheap tier is right about a class than it is about the first."""


def right_by_confidence(label, confidence):
    return min(1.0, max(0.0, 0.4 + 0.65 * confidence - WEAKER[label]))


def drawn(chance, count, dear=1.0):
    """Draw records of three classes, of which the cheap tier confuses one with the next, and the dear one a few."""
    found = []
    for label in chance.choices(CLASSES, SHARES, k=count):
        confidence = chance.choice(STEPS)
        other = CLASSES[(CLASSES.index(label) + 1) % 3]
        cheap = label if chance.random() < right_by_confidence(label, confidence) else other
        found.append(Tried(label, cheap, confidence, label if chance.random() < dear else other))
    return found


def truth(goal, band, dear=1.0):
    """Compute the true accuracy, or the lowest precision or recall of a class."""
    kept = [step for step in STEPS if not band.asks(step)]
    right = {
        label: (sum(right_by_confidence(label, step) for step in kept) + dear * (len(STEPS) - len(kept))) / len(STEPS)
        for label in CLASSES
    }
    weight = dict(zip(CLASSES, SHARES, strict=True))
    if goal is CascadeGoal.ACCURACY:
        return sum(weight[label] * right[label] for label in CLASSES)
    if goal is CascadeGoal.RECALL:
        return min(right.values())
    before = {label: CLASSES[CLASSES.index(label) - 1] for label in CLASSES}
    return min(
        weight[label] * right[label]
        / (weight[label] * right[label] + weight[before[label]] * (1 - right[before[label]]))
        for label in CLASSES
    )  # fmt: skip


@pytest.mark.parametrize(
    ("goal", "target", "dear"),
    [
        (CascadeGoal.ACCURACY, 0.9, 1.0),
        (CascadeGoal.ACCURACY, 0.85, 0.95),
        (CascadeGoal.PRECISION, 0.85, 1.0),
        (CascadeGoal.RECALL, 0.8, 1.0),
    ],
)
def test_outputs_miss_the_target_no_more_often_than_delta_over_a_thousand_draws(goal, target, dear):
    chance, promise = random.Random(3), Promise(goal, target, DELTA)
    missed = cheaper = 0
    for _ in range(1_000):
        found = by_confidence(drawn(chance, 150, dear), promise)
        if found is not None:
            cheaper += found.share_asked < 0.9
            missed += truth(goal, found.band, dear) < target
    assert missed <= MOST_MISSED
    assert cheaper > 500  # to ask the dear model always would hold everything


def passes_by_score(score):
    return min(1.0, max(0.0, 1.6 * score - 0.3))


@pytest.mark.parametrize("goal", list(CascadeGoal))
def test_verdicts_miss_the_target_no_more_often_than_delta_over_a_thousand_draws(goal):
    chance, promise, target = random.Random(4), Promise(goal, 0.85, DELTA), 0.85
    missed = cheaper = 0
    for _ in range(1_000):
        scores = chance.choices(STEPS, k=120)
        labels = ["pass" if chance.random() < passes_by_score(score) else "fail" for score in scores]
        tried = [Tried(label, "", score, label) for label, score in zip(labels, scores, strict=True)]
        found = by_score(tried, promise, "pass", "fail")
        if found is None:
            continue
        cheaper += found.share_asked < 0.9
        band = found.band
        by_pass = sum(1 - passes_by_score(step) for step in STEPS if step >= band.high)
        by_fail = sum(passes_by_score(step) for step in STEPS if step < band.low)
        all_pass = sum(map(passes_by_score, STEPS))
        kept = all_pass - by_fail
        true = {
            CascadeGoal.ACCURACY: 1 - (by_pass + by_fail) / len(STEPS),
            CascadeGoal.PRECISION: kept / (kept + by_pass),
            CascadeGoal.RECALL: kept / all_pass,
        }[goal]
        missed += true < target
    assert missed <= MOST_MISSED
    assert cheaper > 500


def test_a_cheap_tier_that_is_right_when_it_is_sure_is_believed_from_there_on():
    tried = [Tried("a", "a" if sure else "b", 0.9 if sure else 0.4, "a") for sure in [True] * 140 + [False] * 60]
    found = by_confidence(tried, Promise(CascadeGoal.ACCURACY, 0.95, 0.05))
    assert 0.4 < found.band.high <= 0.9
    assert (found.asked, found.right, found.records) == (60, 200, 200)
    assert found.share_asked == 0.3


def test_a_cheap_tier_without_an_answer_or_a_confidence_is_not_believed():
    tried = [Tried("a", None, 0.9, "a")] * 50 + [Tried("a", "b", None, "a")] * 50 + [Tried("a", "b", 7.0, "a")] * 50
    assert by_confidence(tried, Promise(CascadeGoal.ACCURACY, 0.9, 0.05)).asked == 150
    assert at(tried, Band(0.0)).asked == 150


def test_nothing_is_chosen_where_not_even_the_dear_model_is_shown_to_hold_it():
    promise = Promise(CascadeGoal.ACCURACY, 0.95, 0.05)
    assert fewest(promise) == 59
    assert by_confidence([Tried("a", "a", 0.9, "a")] * 58, promise) is None
    assert by_confidence([Tried("a", "a", 0.9, "a")] * 59, promise).asked == 0
    assert by_confidence([Tried("a", "a", 0.9, "b")] * 200, promise) is None
    assert by_confidence([], promise) is None
    assert by_score([], promise, "pass", "fail") is None


def test_a_precision_may_be_that_of_one_class():
    chance = random.Random(5)
    tried = [Tried("b" if chance.random() < 0.5 else "a", "a", 0.8, "a") for _ in range(200)]
    assert by_confidence(tried, Promise(CascadeGoal.RECALL, 0.9, 0.05), only="a").asked == 0
    assert by_confidence(tried, Promise(CascadeGoal.RECALL, 0.9, 0.05)) is None
