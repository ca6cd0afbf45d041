"""Tests the statistics: against published values, against their definitions, and by simulation."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loom_common.statistics import bootstrap
from loom_common.statistics.agreement import cohens_kappa
from loom_common.statistics.classification import Confusion
from loom_common.statistics.intervals import clopper_pearson, incomplete_beta, lower_bound, upper_bound, wilson
from loom_common.statistics.numbers import area_under_curve, mean, rank_correlation, ranks
from loom_common.statistics.reliability import bin_of, brier_score, error_of, expected_calibration_error, reliability


@pytest.mark.parametrize(
    ("hits", "total", "exact", "score"),
    [
        (8, 10, (0.4439045, 0.9747893), (0.4901625, 0.9433178)),
        (0, 10, (0.0, 0.3084971), (0.0, 0.2775328)),
        (10, 10, (0.6915029, 1.0), (0.7224672, 1.0)),
        (263, 1000, (0.2359432, 0.2914698), (0.2366464, 0.2911744)),
    ],
)
def test_intervals_of_a_share_are_those_that_r_gives(hits, total, exact, score):
    """The values are those of `binom.test` and `prop.test(correct = FALSE)` in R."""
    found, other = clopper_pearson(hits, total), wilson(hits, total)
    assert (found.low, found.high) == pytest.approx(exact, abs=2e-4)
    assert (other.low, other.high) == pytest.approx(score, abs=2e-4)


@given(st.integers(1, 60).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))))
def test_the_exact_bounds_solve_the_binomial_tail(pair):
    hits, total = pair

    def tail(least, share):
        return sum(math.comb(total, k) * share**k * (1 - share) ** (total - k) for k in range(least, total + 1))

    low, high = lower_bound(hits, total, 0.05), upper_bound(hits, total, 0.05)
    assert 0.0 <= low <= hits / total <= high <= 1.0
    if hits:
        assert tail(hits, low) == pytest.approx(0.05, abs=1e-9)
    if hits < total:
        assert 1 - tail(hits + 1, high) == pytest.approx(0.05, abs=1e-9)


def test_the_incomplete_beta_function_has_its_symmetry():
    assert incomplete_beta(2, 3, 0.4) == pytest.approx(0.5248)
    assert incomplete_beta(7.5, 1.5, 0.9) + incomplete_beta(1.5, 7.5, 0.1) == pytest.approx(1.0)


def test_figures_of_classes_follow_from_the_confusion_matrix():
    matrix = Confusion.of([("a", "a")] * 6 + [("a", "b")] * 2 + [("b", "b")] * 3 + [("b", "a")] + [("c", "a")] * 2)
    assert matrix.accuracy == pytest.approx(9 / 14)
    of_a, of_c = matrix.figures("a"), matrix.figures("c")
    assert (of_a.precision, of_a.recall, of_a.f1) == pytest.approx((6 / 9, 6 / 8, 12 / 17))
    assert (of_c.precision, of_c.recall, of_c.f1) == (None, 0.0, 0.0)
    assert (of_c.support, of_c.predicted) == (2, 0)
    assert matrix.macro_f1 == pytest.approx((12 / 17 + 2 * 3 / (4 + 5) + 0) / 3)
    assert matrix.rows() == [[6, 2, 0], [1, 3, 0], [2, 0, 0]]
    assert Confusion.of([]).accuracy is None


def test_kappa_is_that_of_the_textbook():
    """Two raters judge 50 proposals: both say yes to 20 and no to 15, and they differ about 5 and 10."""
    counts = [("yes", "yes")] * 20 + [("yes", "no")] * 5 + [("no", "yes")] * 10 + [("no", "no")] * 15
    assert cohens_kappa(Confusion.of(counts)) == pytest.approx(0.4)
    assert cohens_kappa(Confusion.of([("yes", "yes")] * 5)) is None
    assert cohens_kappa(Confusion.of([("yes", "no"), ("no", "yes")])) == pytest.approx(-1.0)


def test_ranks_are_shared_and_correlation_is_that_of_ranks():
    assert ranks([10, 20, 10, 30]) == [1.5, 3.0, 1.5, 4.0]
    assert rank_correlation([1, 2, 3, 4], [1, 8, 27, 64]) == pytest.approx(1.0)
    assert rank_correlation([1, 2, 3, 4, 5], [5, 6, 7, 8, 7]) == pytest.approx(0.8207827)  # scipy.stats.spearmanr
    assert rank_correlation([1, 1, 1], [1, 2, 3]) is None
    assert mean([]) is None


def test_the_area_under_the_curve_counts_pairs():
    scores, positive = [0.9, 0.8, 0.8, 0.3, 0.1], [True, True, False, False, True]
    pairs = [(0.9, 0.8), (0.9, 0.3), (0.8, 0.8), (0.8, 0.3), (0.1, 0.8), (0.1, 0.3)]
    by_hand = sum(1.0 if hit > miss else 0.5 if hit == miss else 0.0 for hit, miss in pairs) / len(pairs)
    assert area_under_curve(scores, positive) == pytest.approx(by_hand)
    assert area_under_curve([0.1], [True]) is None


def test_calibration_error_is_the_weighted_distance_of_the_bins():
    stated, came_true = [0.95, 0.92, 0.55, 0.05], [True, False, True, False]
    assert [(each.low, each.records) for each in reliability(stated, came_true)] == [(0.0, 1), (0.5, 1), (0.9, 2)]
    assert expected_calibration_error(stated, came_true) == pytest.approx((0.05 + 0.45 + 2 * abs(0.935 - 0.5)) / 4)
    assert brier_score([1.0, 0.5], [True, False]) == pytest.approx(0.125)
    assert reliability([1.0], [True])[0].high == 1.0


def test_the_calibration_error_is_the_same_where_bins_and_gaps_are_known_already():
    chance = random.Random(7)
    stated = [*(chance.random() for _ in range(300)), 0.0, 1.0]
    came_true = [chance.random() < each for each in stated]
    gaps = [(bin_of(each), each - outcome) for each, outcome in zip(stated, came_true, strict=True)]
    assert error_of(gaps) == pytest.approx(expected_calibration_error(stated, came_true), abs=1e-12)
    assert error_of([]) is None


@pytest.mark.parametrize(("number", "share"), [(5, 0.5), (40, 0.1), (4_000, 0.3), (4_000, 0.999)])
def test_binomial_numbers_have_the_mean_and_the_spread_of_their_distribution(number, share):
    chance = random.Random(7)
    drawn = [bootstrap.binomial(number, share, chance) for _ in range(4_000)]
    centre, variance = number * share, number * share * (1 - share)
    found = sum(drawn) / len(drawn)
    assert found == pytest.approx(centre, abs=5 * math.sqrt(variance / len(drawn)))
    assert sum((each - found) ** 2 for each in drawn) / len(drawn) == pytest.approx(variance, rel=0.15)
    assert min(drawn) >= 0
    assert max(drawn) <= number


def test_the_bootstrap_of_counts_holds_the_true_share_as_often_as_it_says():
    chance, held = random.Random(11), 0
    for draw in range(80):
        hits = bootstrap.binomial(300, 0.7, chance)
        counts = {"hit": hits, "miss": 300 - hits}
        found = bootstrap.of_counts(counts, lambda some: {"share": some["hit"] / sum(some.values())}, draw)["share"]
        held += found.low <= 0.7 <= found.high
    assert held >= 69  # of 80: 76 are expected, and fewer than 69 have a probability below 1 in 500


def test_both_bootstraps_agree_and_the_same_seed_gives_the_same_interval():
    records = [1.0] * 60 + [0.0] * 40
    one, again = (bootstrap.of_records(records, mean, seed=3) for _ in range(2))
    assert one == again
    counted = bootstrap.of_counts({1.0: 60, 0.0: 40}, lambda some: {"mean": some[1.0] / 100}, seed=3)["mean"]
    assert (one.low, one.high) == pytest.approx((counted.low, counted.high), abs=0.03)
    assert bootstrap.of_records([], mean) is None
    assert bootstrap.of_counts({}, lambda some: {"mean": None}) == {}
