"""Tests the paired tests against values that others have published."""

from __future__ import annotations

import random

import pytest

from loom_common.statistics import paired
from loom_common.statistics.paired import SignedRanks, mcnemar, sign_test

MAIZE = [6, 8, 14, 16, 23, 24, 28, 29, 41, -48, 49, 56, 60, -67, 75]
"""Darwin's differences of crossed and self-fertilized maize, in eighths of an inch, as SciPy's page of the test has
them: the statistic is 24, and p 0.041259765625."""
BEFORE = [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30]
AFTER = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29]
"""Hollander and Wolfe (1973), p. 29: R's page of `wilcox.test` gives p = 0.01953 for one side."""


def wilcoxon(differences):
    ranks = SignedRanks()
    for each in differences:
        ranks.add(each)
    return ranks.p_value()


def test_wilcoxon_gives_the_published_values():
    assert wilcoxon(MAIZE) == pytest.approx(0.041259765625, abs=1e-12)
    differences = [one - other for one, other in zip(BEFORE, AFTER, strict=True)]
    assert wilcoxon(differences) == pytest.approx(2 * 0.01953, abs=1e-5)


def test_mcnemar_gives_the_published_value():
    """The value has been published for the table ((101, 121), (59, 33)), as the binomial test of 59 of 180."""
    assert mcnemar(121, 59) == pytest.approx(4.4344e-06, rel=1e-4)


@pytest.mark.parametrize(("better", "worse", "value"), [(0, 0, None), (5, 5, 1.0), (9, 1, 22 / 1024), (1, 0, 1.0)])
def test_the_sign_test_counts_the_ways_that_are_as_uneven(better, worse, value):
    assert sign_test(better, worse) == value == sign_test(worse, better)


def test_no_difference_says_nothing():
    assert wilcoxon([]) is None
    assert wilcoxon([0.0, 0.0]) is None


def test_equal_differences_count_once_each_and_cost_one_place():
    ranks = SignedRanks()
    ranks.add(0.5, times=30)
    ranks.add(-0.5, times=10)
    assert (ranks.number, len(ranks._counts)) == (40, 1)
    assert ranks.p_value() == pytest.approx(sign_test(30, 10), abs=1e-12)


def test_above_the_limit_the_normal_distribution_is_close_to_the_exact_one(monkeypatch):
    chance = random.Random(7)
    for _ in range(10):
        differences = [round(chance.gauss(0.2, 1.0), 1) for _ in range(50)]
        exact = wilcoxon(differences)
        with monkeypatch.context() as patched:
            patched.setattr(paired, "EXACT_RANKS", 0)
            assert wilcoxon(differences) == pytest.approx(exact, abs=0.01)
